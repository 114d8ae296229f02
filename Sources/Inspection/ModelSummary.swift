// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import KimiLinear
import TensorCore

/// The sizes of a model: what it has, what a token uses, what a token costs to remember.
package struct ModelSummary: Sendable {
  /// The tensors of one role, or of one encoding.
  package struct Share: Sendable, Equatable {
    package fileprivate(set) var tensorCount = 0
    package fileprivate(set) var parameterCount = 0
    package fileprivate(set) var byteCount = 0

    /// Bits for each parameter, as they are stored.
    package var bitsPerWeight: Double {
      parameterCount == 0 ? 0 : Double(byteCount) * 8 / Double(parameterCount)
    }

    fileprivate mutating func add(_ tensor: StoredTensor) {
      tensorCount += 1
      parameterCount += tensor.shape.elementCount
      byteCount += tensor.storedByteCount
    }
  }

  /// All tensors.
  package private(set) var total = Share()
  /// By role, in the order of `TensorRole`; roles without tensors are left out.
  package let byRole: [(role: TensorRole, share: Share, encodings: [String])]
  /// By encoding, the largest first.
  package let byEncoding: [(encoding: String, share: Share)]
  /// Parameters that take part in computing one token: all but the embedding, of which one row
  /// is read, and the routed experts that it does not go to.
  package let activeParameterCount: Int
  /// Numbers that the MLA layers keep for each token.
  package let cacheNumbersPerToken: Int
  /// Numbers that the KDA layers keep for a sequence of any length.
  package let stateNumbersPerSequence: Int

  /// The sizes of a checkpoint.
  package init(_ checked: CheckedCheckpoint) {
    var roles: [TensorRole: (share: Share, encodings: Set<String>)] = [:]
    var encodings: [String: Share] = [:]
    for stored in checked.tensors.tensors {
      let encoding = stored.encoding.description
      total.add(stored)
      let role = checked.role(of: stored.name)
      roles[role, default: (Share(), [])].share.add(stored)
      roles[role, default: (Share(), [])].encodings.insert(encoding)
      encodings[encoding, default: Share()].add(stored)
    }
    byRole = TensorRole.allCases.compactMap { role in
      roles[role].map { (role, $0.share, $0.encodings.sorted()) }
    }
    byEncoding = encodings.sorted {
      ($1.value.byteCount, $0.key) < ($0.value.byteCount, $1.key)
    }.map { ($0.key, $0.value) }

    let configuration = checked.configuration
    let routed = roles[.routedExpert]?.share.parameterCount ?? 0
    let used = configuration.experts.map { routed / $0.count * $0.perToken } ?? 0
    let lookedUp =
      configuration.tiesEmbeddings
      ? 0 : (roles[.embedding]?.share.parameterCount ?? 0) - configuration.hiddenSize
    activeParameterCount = total.parameterCount - routed + used - lookedUp
    cacheNumbersPerToken =
      configuration.latentLayerCount * (configuration.latentAttention?.cacheWidth ?? 0)
    stateNumbersPerSequence =
      configuration.linearLayerCount * (configuration.linearAttention?.stateNumbers ?? 0)
  }
}

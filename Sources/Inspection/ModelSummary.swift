// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import KimiLinear
import TensorCore

/// The sizes of a model: what it has, what a token uses, what a token costs to remember.
package struct ModelSummary: Sendable {
  /// All tensors.
  package let total: TensorShare
  /// By role, in the order of `TensorRole`; roles without tensors are left out.
  package let byRole: [(role: TensorRole, share: TensorShare, encodings: [String])]
  /// By encoding, the largest first.
  package let byEncoding: [(encoding: String, share: TensorShare)]
  /// Parameters that take part in computing one token: all but the embedding, of which one row
  /// is read, and the routed experts that it does not go to.
  package let activeParameterCount: Int
  /// Numbers that the MLA layers keep for each token.
  package let cacheNumbersPerToken: Int
  /// Numbers that the KDA layers keep for a sequence of any length.
  package let stateNumbersPerSequence: Int

  /// The sizes of a checkpoint.
  package init(_ checked: CheckedCheckpoint) {
    var roles: [TensorRole: [TensorEncoding: TensorShare]] = [:]
    for stored in checked.tensors.tensors {
      let role = checked.role(of: stored.name)
      roles[role, default: [:]][stored.encoding, default: TensorShare()].add(stored)
    }
    let shares = roles.mapValues { $0.values.reduce(TensorShare(), +) }
    total = shares.values.reduce(TensorShare(), +)
    byRole = TensorRole.allCases.compactMap { role in
      guard let share = shares[role], let encodings = roles[role]?.keys else { return nil }
      return (role, share, encodings.map(\.description).sorted())
    }
    let encodings = roles.values.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    byEncoding = encodings.map { ($0.key.description, $0.value) }.sorted {
      ($1.1.byteCount, $0.0) < ($0.1.byteCount, $1.0)
    }

    let configuration = checked.configuration
    let routed = shares[.routedExpert]?.parameterCount ?? 0
    let used = configuration.experts.map { routed / $0.count * $0.perToken } ?? 0
    let lookedUp =
      configuration.tiesEmbeddings
      ? 0 : (shares[.embedding]?.parameterCount ?? 0) - configuration.hiddenSize
    activeParameterCount = total.parameterCount - routed + used - lookedUp
    cacheNumbersPerToken =
      configuration.latentLayerCount * (configuration.latentAttention?.cacheWidth ?? 0)
    stateNumbersPerSequence =
      configuration.linearLayerCount * (configuration.linearAttention?.stateNumbers ?? 0)
  }
}

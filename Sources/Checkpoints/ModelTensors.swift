// SPDX-License-Identifier: Apache-2.0

package import KilnFormat
import SystemPackage
package import TensorCore

/// The tensors of a checkpoint under the names of the released dialect, one matrix each.
///
/// Checkpoints that were saved by transformers fuse and rename some tensors. Here each is split into
/// its parts, in place, and `assemblies` says how the original is put together again.
package struct ModelTensors: Sendable {
  /// Most tensors that a model may have once they are split; the released models have 20,493.
  package static let maximumCount = 1 << 20

  /// In the order in which a packed file holds them.
  package let tensors: [StoredTensor]
  /// How tensors of the checkpoint that were split or renamed are made of these.
  package let assemblies: [KilnHeader.Assembly]
  private let places: [ExactString: Int]

  /// The tensors of an open checkpoint.
  ///
  /// - Throws: `CheckpointError.fusedTensor`, `.ambiguous` or `.tooManyTensors`.
  package init(_ checkpoint: Checkpoint) throws {
    if let header = checkpoint.packed?.header {
      try self.init(
        tensors: checkpoint.storedTensors, assemblies: header.assemblies, path: checkpoint.path)
      return
    }
    var tensors: [StoredTensor] = []
    tensors.reserveCapacity(checkpoint.storedTensors.count)
    var assemblies: [KilnHeader.Assembly] = []
    for stored in checkpoint.storedTensors {
      if let parts = try FusedTensor.split(stored, path: checkpoint.path) {
        tensors.append(contentsOf: parts)
        assemblies.append(
          KilnHeader.Assembly(
            name: stored.name, dtype: stored.sourceDType, shape: stored.shape,
            parts: parts.map(\.name)))
      } else {
        tensors.append(stored)
      }
      guard tensors.count <= Self.maximumCount else {
        throw CheckpointError.tooManyTensors(checkpoint.path, limit: Self.maximumCount)
      }
    }
    let keys = tensors.map { TensorOrder($0.name) }
    let order = tensors.indices.sorted { keys[$0] < keys[$1] }
    try self.init(
      tensors: order.map { tensors[$0] }, assemblies: assemblies.sorted { $0.name < $1.name },
      path: checkpoint.path)
  }

  private init(
    tensors: [StoredTensor], assemblies: [KilnHeader.Assembly], path: FilePath
  ) throws {
    self.tensors = tensors
    self.assemblies = assemblies
    var places = [ExactString: Int](minimumCapacity: tensors.count)
    for (place, tensor) in tensors.enumerated() {
      guard places.updateValue(place, forKey: tensor.name) == nil else {
        throw CheckpointError.ambiguous(path, name: tensor.name.text)
      }
    }
    self.places = places
  }

  /// The tensor of that name, if there is one.
  package subscript(name: ExactString) -> StoredTensor? {
    places[name].map { tensors[$0] }
  }
}

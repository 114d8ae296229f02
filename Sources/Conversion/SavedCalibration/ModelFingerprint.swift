// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KilnFormat
package import KimiLinear
package import TensorCore

/// A checksum of a model's content that does not read all of it: of its configuration, and of the name, shape,
/// encoding and first bytes of every tensor.
///
/// It is the same for every container that holds the same model, and another one after training has
/// changed a weight of every tensor.
package struct ModelFingerprint: Sendable, Equatable {
  /// Bytes of a tensor that count.
  private static let sampledByteCount = 4096

  /// The checksum.
  package let checksum: UInt64

  init(checksum: UInt64) { self.checksum = checksum }

  /// Takes the fingerprint of a model.
  ///
  /// - Throws: `CheckpointError.missingFile`, or what is wrong with a compressed block.
  package init(_ model: CheckedCheckpoint, workers: Workers) throws {
    var text = Checksum.text(Checksum.of(try model.checkpoint.contents(of: "config.json")))
    for stored in model.tensors.tensors {
      let region = try stored.load(workers: workers).region
      let bytes = region.bytes
      let first = Checksum.of(bytes.extracting(0..<min(bytes.byteCount, Self.sampledByteCount)))
      text += "\n\(stored.name) \(stored.shape) \(stored.encoding) \(Checksum.text(first))"
    }
    checksum = Checksum.of(text)
  }
}

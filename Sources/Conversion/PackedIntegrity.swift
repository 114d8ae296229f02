// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KilnFormat
import SystemPackage
import TensorCore

/// Checks the checksums of a packed source while it is converted: what was damaged on a disk must
/// not be passed on as if it were sound.
struct PackedIntegrity: Sendable {
  private let packed: KilnFile?
  private let extents: [ExactString: KilnHeader.Extent]

  /// For a checkpoint of any kind; there is something to check in a packed one.
  init(_ checkpoint: Checkpoint) {
    packed = checkpoint.packed
    let tensors = checkpoint.packed?.header.tensors ?? []
    extents = tensors.reduce(into: [:]) { $0[$1.name] = $1.extent }
  }

  /// Checks the files that travel inside.
  ///
  /// - Throws: `KilnFormatError.checksum`.
  func checkFiles() throws(KilnFormatError) {
    guard let packed else { return }
    for file in packed.header.files where !packed.isIntact(file.extent) {
      throw .checksum(packed.file.path, part: "file \"\(file.name)\"")
    }
  }

  /// Checks one tensor.
  ///
  /// - Throws: `KilnFormatError.checksum`.
  func check(_ name: ExactString) throws(KilnFormatError) {
    guard let packed, let extent = extents[name], !packed.isIntact(extent) else { return }
    throw .checksum(packed.file.path, part: "tensor \"\(name)\"")
  }
}

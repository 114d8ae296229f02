// SPDX-License-Identifier: Apache-2.0

import KilnFormat
import SystemPackage
package import TensorCore

/// Checks the checksums of a packed model before its values are used: what was damaged on a disk
/// must not be passed on, or measured, as if it were sound.
package struct PackedIntegrity: Sendable {
  private struct Entry {
    let file: KilnFile
    let extent: KilnHeader.Extent
  }

  private let packed: KilnModel?
  private let entries: [ExactString: Entry]

  /// For a checkpoint of any kind; there is something to check in a packed one.
  package init(_ checkpoint: Checkpoint) {
    packed = checkpoint.packed
    var entries: [ExactString: Entry] = [:]
    if let packed {
      for (index, tensor) in packed.header.tensors.enumerated() {
        entries[tensor.name] = Entry(file: packed.file(ofTensor: index), extent: tensor.extent)
      }
    }
    self.entries = entries
  }

  /// Checks the files that travel inside.
  ///
  /// - Throws: `KilnFormatError.checksum`.
  package func checkFiles() throws {
    guard let packed else { return }
    for file in packed.header.files where !packed.first.isIntact(file.extent) {
      throw KilnFormatError.checksum(packed.first.file.path, part: "file \"\(file.name)\"")
    }
  }

  /// Checks one tensor.
  ///
  /// - Throws: `KilnFormatError.checksum`.
  package func check(_ name: ExactString) throws {
    guard let entry = entries[name], !entry.file.isIntact(entry.extent) else { return }
    throw KilnFormatError.checksum(entry.file.file.path, part: "tensor \"\(name)\"")
  }

  /// Checks everything.
  ///
  /// - Parameter workers: Threads.
  /// - Throws: `KilnFormatError.checksum` for the first tensor, in the order of the file, that is
  ///   damaged.
  package func checkAll(workers: Workers) throws {
    try checkFiles()
    guard let packed else { return }
    let names = packed.header.tensors.map(\.name)
    let results = workers.map(names.count) { index in
      Result { try check(names[index]) }
    }
    for result in results { try result.get() }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Safetensors
package import SystemPackage
import TensorCore

/// The `__metadata__` of one safetensors file.
package struct FileMetadata: Sendable {
  /// The file.
  package let file: FilePath
  /// Keys and values in the order of the file; as long as its author liked.
  package let entries: [(key: String, value: String)]

  /// Those of all files of a checkpoint that have any; none for packed files.
  ///
  /// Headers are read again: only `inspect` asks, and a checkpoint keeps no part of them but tensors.
  ///
  /// - Throws: `FileError` or `SafetensorsError` if a file has changed since it was opened.
  package static func all(of checkpoint: Checkpoint) throws -> [FileMetadata] {
    guard !checkpoint.isPacked else { return [] }
    return try checkpoint.dataFiles.compactMap { file in
      let metadata = try SafetensorsFile(mapped: file).header.metadata
      return metadata.isEmpty ? nil : FileMetadata(file: file.path, entries: metadata)
    }
  }
}

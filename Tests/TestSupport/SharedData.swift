// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import TensorCore

/// Checkpoints, texts and golden values that are too large for the repository.
///
/// They are in the folder that `KILN_SHARED` names, or else in `shared` beside the repository.
/// Tests that need them are skipped where they are not.
package enum SharedData {
  /// The folder; nil if there is none.
  package static let folder: FilePath? = {
    let folder = environment("KILN_SHARED") ?? repository.appending("../shared")
    return FileIdentity(of: folder) == nil ? nil : folder
  }()

  /// Whether there is something at a path in the folder.
  package static func has(_ name: String) -> Bool {
    folder.map { FileIdentity(of: $0.appending(name)) != nil } ?? false
  }

  /// The content of a file in the folder.
  ///
  /// - Throws: `FileError` if it is not there.
  package static func bytes(_ name: String) throws -> [UInt8] {
    let file = try MappedFile((folder ?? "shared").appending(name))
    return file.bytes.copy()
  }

  private static let repository = FilePath(#filePath)
    .removingLastComponent().removingLastComponent().removingLastComponent()

  private static func environment(_ name: String) -> FilePath? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe FilePath(platformString: value)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// A folder for outputs that nobody wants to keep.
///
/// It is removed with what is in it when the object goes, and when a signal ends the process.
public final class ScratchFolder {
  /// Where it is.
  public let path: FilePath
  /// Where a folder with files may be made in it.
  public let subfolder: FilePath

  /// Creates a folder that only this user can read, under a name that nothing has.
  ///
  /// - Parameters:
  ///   - parent: Where to create it.
  ///   - name: What its name begins with.
  /// - Throws: `FileError.cannotCreate`.
  public init(in parent: FilePath, named name: String) throws(FileError) {
    var random = SystemRandomNumberGenerator()
    let path = parent.appending("\(name)-\(String(random.next() as UInt64, radix: 36))")
    do {
      try TemporaryOutputs.create(path) { () throws(Errno) in
        try SystemCalls.createFolder(path, mode: 0o700)
      }
    } catch {
      throw .cannotCreate(path, operation: "mkdir", error)
    }
    self.path = path
    subfolder = path.appending("folder")
    // Not there yet; what is there when the process ends is removed before the folder around it.
    TemporaryOutputs.register(subfolder)
  }

  deinit {
    for path in [subfolder, path] {
      TemporaryOutputs.remove(path)
      TemporaryOutputs.forget(path)
    }
  }

  /// Removes what is in it, but not the folder itself.
  ///
  /// - Throws: `FileError` if it cannot be listed.
  public func empty() throws(FileError) {
    for name in try FolderListing.entries(of: path) {
      TemporaryOutputs.remove(path.appending(argument: name))
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// The names in a folder.
public enum FolderListing {
  /// Names of all entries but `.` and `..`, sorted.
  ///
  /// Bytes that are not UTF-8 are stand-ins (`ByteText`): `FilePath.appending(argument:)` leads to the entry.
  ///
  /// - Throws: `FileError.missing` or `.system`.
  public static func entries(of folder: FilePath) throws(FileError) -> [String] {
    try entries(of: folder, flags: 0)
  }

  /// The same, but for what is a folder itself and not a symbolic link to one.
  static func entries(ofUnlinkedFolder folder: FilePath) throws(FileError) -> [String] {
    try entries(of: folder, flags: O_NOFOLLOW)
  }

  private static func entries(
    of folder: FilePath, flags: Int32
  ) throws(FileError) -> [String] {
    let descriptor = unsafe open(folder.cString, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags)
    guard descriptor >= 0, let stream = unsafe fdopendir(descriptor) else {
      let error = Errno.current
      throw error == .noSuchFileOrDirectory
        ? .missing(folder) : .system(folder, operation: "opendir", error)
    }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { characters in
          unsafe ByteText.text(
            of: UnsafeBufferPointer(start: characters, count: strlen(characters)).map {
              UInt8(bitPattern: $0)
            })
        }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { ExactString($0) < ExactString($1) }
  }
}

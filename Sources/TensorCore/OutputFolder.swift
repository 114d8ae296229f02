// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// A folder of files that appears under its name only when all of them are complete.
public final class OutputFolder {
  /// The final name.
  public let path: FilePath
  /// The folder that `path` leads to: through a symbolic link, the folder that is linked to.
  private let target: FilePath
  /// Where the files are until `commit`.
  private let temporary: FilePath
  private let replacing: Bool
  private var isOpen = true

  /// Creates the temporary folder.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - replacing: Whether a folder of that name may be replaced. Only one that holds nothing but
  ///     files is: a folder with folders in it is not the output of an earlier run.
  ///   - byteCount: How much will be written, checked against the free space.
  /// - Throws: `FileError.exists`, `.cannotCreate` or `.noSpace`.
  public init(_ path: FilePath, replacing: Bool, byteCount: Int) throws(FileError) {
    try Self.checkTarget(path, replacing: replacing)
    let target = SystemCalls.canonical(path) ?? path
    try OutputFile.checkSpace(for: target, byteCount: byteCount)
    let temporary = TemporaryOutputs.name(for: target)
    do {
      try TemporaryOutputs.create(temporary) { () throws(Errno) in
        try SystemCalls.createFolder(temporary)
      }
    } catch {
      throw .cannotCreate(path, operation: "mkdir", error)
    }
    self.path = path
    self.target = target
    self.temporary = temporary
    self.replacing = replacing
  }

  deinit {
    guard isOpen else { return }
    // A file that failed may outlive the folder by a moment, so its name can still be there.
    TemporaryOutputs.remove(temporary)
    TemporaryOutputs.forget(temporary)
  }

  /// Refuses an output that exists, unless it is a folder of files that may be replaced.
  public static func checkTarget(_ path: FilePath, replacing: Bool) throws(FileError) {
    guard path.lastComponent != nil else { throw .exists(path) }
    switch FileKind(of: path) {
    case nil: return
    case .directory where replacing:
      _ = try plainFiles(of: path)
    case .directory: throw .exists(path)
    case .regular, .special:
      throw replacing
        ? .cannotCreate(path, operation: "mkdir", .notDirectory) : .exists(path)
    }
  }

  /// Starts a file of the folder; commit it before the folder.
  public func file(named name: String) throws(FileError) -> OutputFile {
    try OutputFile(temporary.appending(name), replacing: false)
  }

  /// Gives the folder its name.
  ///
  /// - Throws: `FileError`; the old folder, if any, is then still there.
  public func commit() throws(FileError) {
    try TemporaryOutputs.synchronize(folder: temporary)
    guard replacing, FileKind(of: target) == .directory else {
      try TemporaryOutputs.publish(temporary, as: target, .new)
      isOpen = false
      return
    }
    // Both names change at once; what was there before is removed from under the temporary name.
    // It is listed first: once the new folder is in place, nothing but a lost disk is a failure.
    let former = try Self.plainFiles(of: target)
    try TemporaryOutputs.rename(temporary, to: target, .exchange)
    isOpen = false
    for name in former { SystemCalls.remove(temporary.appending(name)) }
    SystemCalls.remove(temporary)
    TemporaryOutputs.forget(temporary)
    try TemporaryOutputs.synchronize(folder: TemporaryOutputs.folder(of: target))
  }

  private static func plainFiles(of folder: FilePath) throws(FileError) -> [String] {
    let entries = try FolderListing.entries(of: folder)
    guard entries.allSatisfy({ FileKind(of: folder.appending($0)) == .regular }) else {
      throw .cannotCreate(
        folder, operation: "replacing a folder that holds more than files", .directoryNotEmpty)
    }
    return entries
  }
}

/// The names in a folder.
public enum FolderListing {
  /// Names of all entries but `.` and `..`, sorted by their bytes.
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
    let descriptor = unsafe open(folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags)
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
          unsafe String(cString: characters)
        }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { ExactString($0) < ExactString($1) }
  }
}

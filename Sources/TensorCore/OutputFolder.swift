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
  private var files: [FilePath] = []

  /// Creates the temporary folder.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - replacing: Whether a folder of that name may be replaced. Only one that looks like the output
  ///     of an earlier run is: it holds nothing but files, and `mark` among them.
  ///   - mark: A file that every such output has.
  ///   - byteCount: How much will be written, checked against the free space.
  /// - Throws: `FileError.exists`, `.cannotCreate` or `.noSpace`.
  public init(
    _ path: FilePath, replacing: Bool, mark: String, byteCount: Int
  ) throws(FileError) {
    try Self.checkTarget(path, replacing: replacing, mark: mark)
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
    for file in files { SystemCalls.remove(file) }
    SystemCalls.remove(temporary)
    TemporaryOutputs.forget(temporary)
  }

  /// Refuses an output that exists, unless it is a folder that may be replaced; see `init`.
  public static func checkTarget(
    _ path: FilePath, replacing: Bool, mark: String
  ) throws(FileError) {
    guard path.lastComponent != nil else { throw .exists(path) }
    switch FileKind(of: path) {
    case nil:
      guard !SystemCalls.isLink(path) else { throw .exists(path) }
    case .directory where replacing:
      let names = try plainFiles(of: path)
      guard names.isEmpty || names.contains(mark) else {
        throw .cannotCreate(
          path, operation: "replacing a folder that has no \(mark)", .directoryNotEmpty)
      }
    case .directory: throw .exists(path)
    case .regular, .special:
      throw replacing
        ? .cannotCreate(path, operation: "mkdir", .notDirectory) : .exists(path)
    }
  }

  /// Starts a file of the folder; commit it before the folder.
  public func file(named name: String) throws(FileError) -> OutputFile {
    let file = temporary.appending(name)
    files.append(file)
    return try OutputFile(file, replacing: false, byteCount: 0, in: self)
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
    try TemporaryOutputs.publish(temporary, as: target, .exchange)
    isOpen = false
    for name in try Self.plainFiles(of: temporary) {
      SystemCalls.remove(temporary.appending(name))
    }
    SystemCalls.remove(temporary)
    TemporaryOutputs.forget(temporary)
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

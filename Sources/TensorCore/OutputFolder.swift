// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// A folder of files that appears under its name only when all of them are complete.
public final class OutputFolder {
  /// The final name.
  public let path: FilePath
  /// The folder that `path` leads to: through a symbolic link, the folder that is linked to.
  public let target: FilePath
  /// The name that the folder has until it is complete.
  package var hiddenPath: FilePath { partial.path }
  /// Where the files are until `commit`.
  private let partial: PartialOutput
  private let replacing: Bool
  private let resuming: Bool
  private let superseded: (String) -> Bool
  private var isOpen = true

  /// Creates the temporary folder.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - replacing: Whether a folder of that name may be there, if it holds only files. They stay, but for
  ///     what has the name of a new file and what is `superseded`.
  ///   - byteCount: How much will be written, checked against the free space.
  ///   - resuming: Whether files of an earlier run are to be used, and those of this one to stay if
  ///     it fails: call `existing` and `OutputFile.resume`.
  ///   - superseded: Whether a file of that name can only be a part of an earlier output.
  /// - Throws: `FileError.exists`, `.busy`, `.cannotCreate` or `.noSpace`.
  public init(
    _ path: FilePath, replacing: Bool, byteCount: Int, resuming: Bool = false,
    superseded: @escaping (_ name: String) -> Bool = { _ in false }
  ) throws(FileError) {
    try Self.checkTarget(path, replacing: replacing)
    let target = SystemCalls.canonical(path) ?? path
    let there = resuming ? PartialOutput.byteCount(for: target) : 0
    try OutputFile.checkSpace(for: target, byteCount: max(0, byteCount - there))
    partial = try PartialOutput(
      for: target, .folder, resuming ? .keep : .discard, shownAs: path)
    self.path = path
    self.target = target
    self.replacing = replacing
    self.resuming = resuming
    self.superseded = superseded
  }

  deinit {
    // A file that failed may outlive the folder by a moment, so its name can still be there.
    if isOpen { partial.abandon() } else { close(partial.descriptor) }
  }

  /// A file that an earlier run completed, before anything is done to it; nil if there is none.
  public func existing(named name: String) -> MappedFile? {
    try? MappedFile(partial.path.appending(argument: name))
  }

  /// Removes files of an earlier run, but for those that this one will write too.
  ///
  /// - Parameter names: The files that will be there at the end.
  /// - Throws: `FileError.system`.
  public func removeFiles(except names: Set<String>) throws(FileError) {
    let hidden = names.map { PartialOutput.name(for: FilePath($0), suffix: "partial").string }
    let known = names.union(hidden)
    for name in try FolderListing.entries(of: partial.path) where !known.contains(name) {
      SystemCalls.remove(partial.path.appending(argument: name))
    }
  }

  /// Removes one file of an earlier run.
  public func removeFile(named name: String) {
    SystemCalls.remove(partial.path.appending(argument: name))
  }

  /// Refuses an output that exists, unless it is a folder that may be replaced; see `init`.
  public static func checkTarget(_ path: FilePath, replacing: Bool) throws(FileError) {
    guard path.lastComponent != nil else { throw .exists(path) }
    switch FileKind(of: path) {
    case nil:
      guard !SystemCalls.isLink(path) else { throw .exists(path) }
    case .directory:
      guard replacing else { throw .exists(path) }
      // The root of a file system cannot change its name, and the hidden one would be on another.
      let place = SystemCalls.canonical(path) ?? path
      if FileIdentity(of: place)?.device
        != FileIdentity(of: TemporaryOutputs.folder(of: place))?.device
      {
        throw .cannotCreate(path, operation: "replacing the root of a file system", .resourceBusy)
      }
      // A folder cannot be in two folders, so there would be a moment in which a kill strands it.
      for name in try FolderListing.entries(of: path)
      where FileKind(of: path.appending(argument: name)) == .directory {
        throw .cannotCreate(
          path, operation: "replacing a folder that holds folders (\(name))", .directoryNotEmpty)
      }
    case .regular, .special:
      throw replacing
        ? .cannotCreate(path, operation: "mkdir", .notDirectory) : .exists(path)
    }
  }

  /// Starts a file of the folder; commit it before the folder.
  ///
  /// - Throws: `FileError.exists` for a name that was given before, or `.cannotCreate`.
  public func file(named name: String) throws(FileError) -> OutputFile {
    let file = partial.path.appending(argument: name)
    guard FileKind(of: file) == nil else { throw .exists(path.appending(argument: name)) }
    return try OutputFile(
      at: file, replacing: false, resuming: resuming, shownAs: path.appending(argument: name))
  }

  /// Gives the folder its name.
  ///
  /// - Throws: `FileError`; the old folder, if any, is then still there.
  public func commit() throws(FileError) {
    try TemporaryOutputs.synchronize(folder: partial.path)
    guard partial.hasItsName else { throw .busy(path) }
    guard replacing, FileKind(of: target) == .directory else {
      try TemporaryOutputs.publish(partial.path, as: target, shownAs: path, .new)
      isOpen = false
      return
    }
    // Files that stay are in both folders before the names change, so that a kill loses none.
    let present = try FolderListing.entries(of: target)
    let staying = present.filter { name in
      FileKind(of: partial.path.appending(argument: name)) == nil && !superseded(name)
    }
    for name in staying { try link(name) }
    // Both names change at once: there is never a moment without a complete folder. What then has the
    // temporary name is the old folder, and all in it is superseded or linked in the new one.
    try TemporaryOutputs.exchange(partial.path, with: target, holding: present)
    isOpen = false
    try TemporaryOutputs.synchronize(folder: target)
    try TemporaryOutputs.synchronize(folder: TemporaryOutputs.folder(of: target))
  }

  private func link(_ name: String) throws(FileError) {
    do {
      try TemporaryOutputs.extend { () throws(Errno) in
        try SystemCalls.link(
          target.appending(argument: name), as: partial.path.appending(argument: name))
      }
    } catch {
      throw .cannotCreate(path.appending(argument: name), operation: "link", error)
    }
  }
}

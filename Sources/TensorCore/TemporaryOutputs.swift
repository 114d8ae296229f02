// SPDX-License-Identifier: Apache-2.0

internal import Glibc
import Synchronization
public import SystemPackage

/// The temporary files and folders of outputs that are not complete yet.
///
/// An output that fails removes its own. This list is for the one case in which it cannot: the
/// process is told to end, and whoever handles the signal calls `endProcess`.
public enum TemporaryOutputs {
  private static let paths = Mutex<[FilePath]>([])
  private static let work = Mutex<Work?>(nil)
  private static let hasPublished = Mutex(false)

  /// How far an output is whose finished entries can be kept.
  public struct Work: Sendable {
    /// Its hidden name.
    public let path: FilePath
    /// Whether it stays when the process ends.
    public let isKept: Bool
    /// Tensors that are complete.
    public let completed: Int
    /// Tensors in all.
    public let total: Int

    /// Says how far an output is.
    package init(path: FilePath, isKept: Bool, completed: Int, total: Int) {
      self.path = path
      self.isKept = isKept
      self.completed = completed
      self.total = total
    }
  }

  /// What becomes of outputs when the process ends before they are complete.
  public struct Remains: Sendable {
    /// Whether any was removed.
    public let hasRemoved: Bool
    /// Whether an output was complete before.
    public let hasPublished: Bool
    /// One that stays for a later run, if there is one.
    public let kept: Work?
    /// Whether what was removed could have been kept.
    public let canBeKept: Bool
  }

  /// Notes how far an output is, for whoever ends the process; nil once it is complete or has failed.
  package static func note(_ work: Work?) {
    self.work.withLock { $0 = work }
  }

  /// Removes everything that is registered, files before the folders that hold them, and ends the
  /// process.
  ///
  /// Other threads go on until the end, but none of them creates an output any more, renames one or
  /// leaves an unfinished one: they wait for a lock that is never given back.
  ///
  /// - Parameter status: Called with what remains when all is removed; gives the exit code.
  public static func endProcess(_ status: (Remains) -> Int32) -> Never {
    paths.withLock { paths in
      for path in paths.reversed() { remove(path) }
      let work = work.withLock { $0 }
      let kept = work.flatMap { $0.isKept ? $0 : nil }
      _exit(
        status(
          Remains(
            hasRemoved: !paths.isEmpty, hasPublished: hasPublished.withLock(\.self), kept: kept,
            canBeKept: work != nil && kept == nil)))
    }
  }

  /// Removes a file, or a folder with the files in it: complete ones, which are no longer
  /// registered, and those that are still written.
  static func remove(_ path: FilePath) {
    remove(path, holding: (try? FolderListing.entries(ofUnlinkedFolder: path)) ?? [])
  }

  /// Removes a folder and the files in it, whose names are known.
  private static func remove(_ path: FilePath, holding names: [String]) {
    for name in names { SystemCalls.remove(path.appending(argument: name)) }
    SystemCalls.remove(path)
  }

  /// Creates an output under a temporary name and registers it, without a moment in between in
  /// which a signal could leave it behind.
  static func create<Result>(
    _ path: FilePath, isRemovedBySignals: Bool = true, _ body: () throws(Errno) -> Result
  ) throws(Errno) -> Result {
    try paths.withLock { paths throws(Errno) in
      let result = try body()
      if isRemovedBySignals { paths.append(path) }
      return result
    }
  }

  /// Registers a name under which there may be something when the process ends.
  static func register(_ path: FilePath) {
    paths.withLock { $0.append(path) }
  }

  /// Adds to an output that is registered, unless the process is about to end: a folder that gets one more name
  /// while it is being removed would stay.
  static func extend(_ body: () throws(Errno) -> Void) throws(Errno) {
    try paths.withLock { _ throws(Errno) in try body() }
  }

  static func forget(_ path: FilePath) {
    paths.withLock { $0.removeAll { $0 == path } }
  }

  /// The folder that holds a path, `.` for a bare name.
  static func folder(of path: FilePath) -> FilePath {
    let folder = path.removingLastComponent()
    return folder.isEmpty ? "." : folder
  }

  /// Gives a complete output its final name, and makes that survive a power cut.
  static func publish(
    _ temporary: FilePath, as target: FilePath, shownAs path: FilePath,
    _ mode: SystemCalls.Rename
  ) throws(FileError) {
    do {
      try paths.withLock { paths throws(Errno) in
        try SystemCalls.rename(temporary, to: target, mode)
        paths.removeAll { $0 == temporary }
        hasPublished.withLock { $0 = true }
      }
    } catch {
      throw error == .fileExists || error == .directoryNotEmpty
        ? .exists(path) : .cannotCreate(path, operation: "rename", error)
    }
    try synchronize(folder: folder(of: target))
  }

  /// Swaps a complete folder with the one that has its final name, and removes that one.
  ///
  /// A signal waits until both is done. What the old folder holds is given: to look for it now could
  /// fail, when it is too late to fail.
  static func exchange(
    _ temporary: FilePath, with path: FilePath, holding names: [String]
  ) throws(FileError) {
    do {
      try paths.withLock { paths throws(Errno) in
        try SystemCalls.rename(temporary, to: path, .exchange)
        paths.removeAll { $0 == temporary }
        hasPublished.withLock { $0 = true }
        remove(temporary, holding: names)
      }
    } catch {
      throw .cannotCreate(path, operation: "rename", error)
    }
  }

  /// Brings the entries of a folder to the disk.
  static func synchronize(folder: FilePath) throws(FileError) {
    do {
      try SystemCalls.synchronizeFolder(folder)
    } catch {
      throw .system(folder, operation: "fsync", error)
    }
  }
}

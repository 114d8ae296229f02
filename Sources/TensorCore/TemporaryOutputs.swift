// SPDX-License-Identifier: Apache-2.0

internal import Glibc
import Synchronization
import SystemPackage

/// The temporary files and folders of outputs that are not complete yet.
///
/// An output that fails removes its own. This list is for the one case in which it cannot: the
/// process is told to end, and whoever handles the signal calls `endProcess`.
public enum TemporaryOutputs {
  private static let paths = Mutex<[FilePath]>([])
  /// Longest file name on Linux, in bytes.
  private static let maximumNameByteCount = 255

  /// Removes everything that is registered, files before the folders that hold them, and ends the
  /// process.
  ///
  /// Other threads go on until the end, but none of them creates an output any more, renames one or
  /// leaves an unfinished one: they wait for a lock that is never given back.
  ///
  /// - Parameter status: Called when all is removed; gives the exit code.
  public static func endProcess(_ status: () -> Int32) -> Never {
    paths.withLock { paths in
      for path in paths.reversed() { remove(path) }
      _exit(status())
    }
  }

  /// Removes a file, or a folder with the files in it: complete ones, which are no longer
  /// registered, and those that are still written.
  static func remove(_ path: FilePath) {
    remove(path, holding: (try? FolderListing.entries(ofUnlinkedFolder: path)) ?? [])
  }

  /// Removes a folder and the files in it, whose names are known.
  private static func remove(_ path: FilePath, holding names: [String]) {
    for name in names { SystemCalls.remove(path.appending(name)) }
    SystemCalls.remove(path)
  }

  /// Creates an output under a temporary name and registers it, without a moment in between in
  /// which a signal could leave it behind.
  static func create<Result>(
    _ path: FilePath, _ body: () throws(Errno) -> Result
  ) throws(Errno) -> Result {
    try paths.withLock { paths throws(Errno) in
      let result = try body()
      paths.append(path)
      return result
    }
  }

  static func forget(_ path: FilePath) {
    paths.withLock { $0.removeAll { $0 == path } }
  }

  /// A hidden name in the same folder that no other process uses, on this machine or another.
  static func name(for path: FilePath) -> FilePath {
    let random = String(UInt32.random(in: .min ... .max), radix: 36)
    let suffix = ".partial-\(getpid())-\(random)"
    let name = path.lastComponent?.string ?? "output"
    // A name may be as long as names can be; what is put around it must then replace its end.
    var kept = ""
    for character in name
    where 1 + kept.utf8.count + character.utf8.count + suffix.utf8.count <= maximumNameByteCount {
      kept.append(character)
    }
    return path.removingLastComponent().appending(".\(kept)\(suffix)")
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

// SPDX-License-Identifier: Apache-2.0

internal import Glibc
import Synchronization
import SystemPackage

/// The temporary files and folders of outputs that are not complete yet.
///
/// An output that fails removes its own. This list is for the one case in which it cannot: the
/// process is told to end, and whoever handles the signal calls `removeAll`.
public enum TemporaryOutputs {
  private struct State {
    var paths: [FilePath] = []
    /// Set by `removeAll`: from then on nothing is created, and nothing gets its final name.
    var isEnding = false
  }

  private static let state = Mutex(State())
  /// Longest file name on Linux, in bytes.
  private static let maximumNameByteCount = 255

  /// Removes everything that is registered, files before the folders that hold them.
  ///
  /// For a process that is about to end: later attempts to create an output fail.
  public static func removeAll() {
    state.withLock { state in
      state.isEnding = true
      for path in state.paths.reversed() {
        // A folder also holds files that are complete and therefore no longer registered.
        for name in (try? FolderListing.entries(ofUnlinkedFolder: path)) ?? [] {
          SystemCalls.remove(path.appending(name))
        }
        SystemCalls.remove(path)
      }
      state.paths.removeAll()
    }
  }

  /// Creates an output under a temporary name and registers it, without a moment in between in
  /// which a signal could leave it behind.
  static func create<Result>(
    _ path: FilePath, _ body: () throws(Errno) -> Result
  ) throws(Errno) -> Result {
    try state.withLock { state throws(Errno) in
      guard !state.isEnding else { throw .interrupted }
      let result = try body()
      state.paths.append(path)
      return result
    }
  }

  static func forget(_ path: FilePath) {
    state.withLock { $0.paths.removeAll { $0 == path } }
  }

  /// A hidden name in the same folder, unlike that of any other running process.
  static func name(for path: FilePath) -> FilePath {
    let suffix = ".partial-\(getpid())"
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
    _ temporary: FilePath, as path: FilePath, _ mode: SystemCalls.Rename
  ) throws(FileError) {
    do {
      try state.withLock { state throws(Errno) in
        guard !state.isEnding else { throw .interrupted }
        try SystemCalls.rename(temporary, to: path, mode)
      }
    } catch {
      throw error == .fileExists || error == .directoryNotEmpty
        ? .exists(path) : .cannotCreate(path, operation: "rename", error)
    }
    if mode != .exchange { forget(temporary) }
    try synchronize(folder: folder(of: path))
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

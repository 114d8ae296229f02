// SPDX-License-Identifier: Apache-2.0

internal import Glibc
import Synchronization
import SystemPackage

/// The temporary files and folders of outputs that are not complete yet.
///
/// An output that fails removes its own. This list is for the one case in which it cannot: the
/// process is told to end, and whoever handles the signal calls `removeAll`.
public enum TemporaryOutputs {
  private static let paths = Mutex<[FilePath]>([])

  /// Removes everything that is registered, files before the folders that hold them.
  public static func removeAll() {
    paths.withLock { paths in
      for path in paths.reversed() { SystemCalls.remove(path) }
      paths.removeAll()
    }
  }

  static func register(_ path: FilePath) {
    paths.withLock { $0.append(path) }
  }

  static func forget(_ path: FilePath) {
    paths.withLock { $0.removeAll { $0 == path } }
  }

  /// A hidden name in the same folder, unlike that of any other running process.
  static func name(for path: FilePath) -> FilePath {
    let name = path.lastComponent?.string ?? "output"
    return path.removingLastComponent().appending(".\(name).partial-\(getpid())")
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
      try SystemCalls.rename(temporary, to: path, mode)
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

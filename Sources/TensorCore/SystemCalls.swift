// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import SystemPackage

/// The system calls on paths that outputs are made of, each with a typed error or none.
///
/// Swift regards a C string as unsafe; here is the one place for it.
enum SystemCalls {
  /// How a finished file takes its name.
  enum Rename {
    /// The new name must be free.
    case new
    /// Whatever has the new name is replaced.
    case replace
    /// The two names are swapped.
    case exchange
  }

  static func createFile(_ path: FilePath) throws(Errno) -> Int32 {
    try check(
      unsafe Glibc.open(path.cString, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666))
  }

  /// Opens a file or a folder for a lock, or a file for writing; links are not followed.
  static func open(_ path: FilePath, writing: Bool = false) throws(Errno) -> Int32 {
    // O_NONBLOCK: a FIFO must not keep us waiting.
    let flags = (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
    return try check(unsafe Glibc.open(path.cString, flags))
  }

  /// Takes the lock that tells a live process from one that was killed.
  ///
  /// - Returns: false if another process has it.
  static func lock(_ descriptor: Int32) -> Bool {
    // A file system without locks must not keep anyone from writing to it.
    flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK
  }

  /// Whether a path leads to what a descriptor was opened for; links are not followed.
  static func leads(_ path: FilePath, to descriptor: Int32) -> Bool {
    var (named, opened) = (stat(), stat())
    return unsafe lstat(path.cString, &named) == 0 && fstat(descriptor, &opened) == 0
      && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino
  }

  /// Whether a descriptor is of a regular file that has no other name.
  static func isSoleFile(_ descriptor: Int32) -> Bool {
    var status = stat()
    return unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
      && status.st_nlink == 1
  }

  static func createFolder(_ path: FilePath, mode: mode_t = 0o777) throws(Errno) {
    _ = try check(unsafe mkdir(path.cString, mode))
  }

  /// Removes a file, or an empty folder; an error is of no use to anyone at this point.
  static func remove(_ path: FilePath) {
    if unsafe unlink(path.cString) != 0 { _ = unsafe rmdir(path.cString) }
  }

  static func rename(
    _ source: FilePath, to target: FilePath, _ mode: Rename
  ) throws(Errno) {
    switch mode {
    case .replace:
      _ = try check(unsafe Glibc.rename(source.cString, target.cString))
    case .exchange:
      _ = try check(unsafe kiln_rename_exchange(source.cString, target.cString))
    case .new:
      do {
        _ = try check(unsafe kiln_rename_new(source.cString, target.cString))
      } catch .invalidArgument {
        // A file system that knows no flags: the next best thing is to look first.
        guard FileKind(of: target) == nil else { throw .fileExists }
        _ = try check(unsafe Glibc.rename(source.cString, target.cString))
      }
    }
  }

  /// The path without links, `.` and `..`; nil if nothing is there.
  static func canonical(_ path: FilePath) -> FilePath? {
    guard let resolved = unsafe realpath(path.cString, nil) else { return nil }
    defer { unsafe free(resolved) }
    return unsafe FilePath(platformString: resolved)
  }

  /// Gives a file, or a symbolic link itself, a second name.
  static func link(_ path: FilePath, as name: FilePath) throws(Errno) {
    _ = try check(unsafe Glibc.link(path.cString, name.cString))
  }

  /// Whether a path is a symbolic link, wherever it leads.
  static func isLink(_ path: FilePath) -> Bool {
    var status = stat()
    return unsafe lstat(path.cString, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
  }

  /// Bytes of a file; 0 if there is none.
  static func byteCount(of path: FilePath) -> Int {
    var status = stat()
    return unsafe lstat(path.cString, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
      ? Int(status.st_size) : 0
  }

  /// Brings the entries of a folder to the disk.
  static func synchronizeFolder(_ path: FilePath) throws(Errno) {
    let descriptor = try check(unsafe Glibc.open(path.cString, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    defer { close(descriptor) }
    _ = try check(fsync(descriptor))
  }

  /// Bytes that an unprivileged process may still write to the file system of a folder.
  static func freeBytes(at folder: FilePath) throws(Errno) -> Int {
    var status = statvfs()
    _ = try check(unsafe statvfs(folder.cString, &status))
    let (free, overflow) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: status.f_frsize))
    return overflow ? Int.max : free
  }

  private static func check(_ result: Int32) throws(Errno) -> Int32 {
    guard result >= 0 else { throw .current }
    return result
  }
}

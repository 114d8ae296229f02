// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import TensorCore

/// A folder of a test's own that is gone, with all that is in it, when the test is over.
package struct TemporaryFolder: Sendable {
  /// Where it is.
  package let path: FilePath

  /// Makes a folder, passes it to `body` and removes it, whatever `body` does.
  package static func with<Result>(
    _ body: (TemporaryFolder) throws -> Result
  ) throws -> Result {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    return try body(folder)
  }

  /// A folder that is there already; who made it removes it.
  package init(at path: FilePath) {
    self.path = path
  }

  private init() throws {
    path = FilePath("/tmp/kiln-test-\(getpid())-\(UInt64.random(in: .min ... .max))")
    guard unsafe mkdir(path.string, 0o700) == 0 else { throw Errno(rawValue: errno) }
  }

  /// Names of what is in it, hidden files included, sorted.
  package var entries: [String] {
    get throws { try FolderListing.entries(of: path) }
  }

  /// Names of what is in a folder in it.
  package func entries(of name: String) throws -> [String] {
    try FolderListing.entries(of: path.appending(name))
  }

  /// Writes a file, and folders that its name goes through.
  @discardableResult
  package func write(_ bytes: [UInt8], as name: String) throws -> FilePath {
    let file = path.appending(name)
    try makeFolder(file.removingLastComponent())
    let descriptor = unsafe open(file.string, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    defer { close(descriptor) }
    let written = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    guard written == bytes.count else { throw Errno(rawValue: errno) }
    return file
  }

  /// Writes a text file.
  @discardableResult
  package func write(_ text: String, as name: String) throws -> FilePath {
    try write(Array(text.utf8), as: name)
  }

  /// The content of a file.
  package func read(_ name: String) throws -> [UInt8] {
    let file = try MappedFile(path.appending(name))
    return file.bytes.copy()
  }

  /// Changes one byte of a file.
  package func patch(_ name: String, at offset: Int, with byte: UInt8) throws {
    let descriptor = unsafe open(path.appending(name).string, O_WRONLY)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    defer { close(descriptor) }
    let written = unsafe [byte].withUnsafeBytes {
      unsafe pwrite(descriptor, $0.baseAddress, 1, off_t(offset))
    }
    guard written == 1 else { throw Errno(rawValue: errno) }
  }

  /// Makes a file longer, with a hole, or shorter.
  package func extend(_ name: String, to byteCount: Int) throws {
    guard unsafe truncate(path.appending(name).string, off_t(byteCount)) == 0 else {
      throw Errno(rawValue: errno)
    }
  }

  /// Makes a folder in it.
  @discardableResult
  package func makeFolder(_ name: String) throws -> FilePath {
    let folder = path.appending(name)
    try makeFolder(folder)
    return folder
  }

  /// Makes a symbolic link in it, to a path that need not exist.
  package func link(_ name: String, to target: String) throws {
    let link = path.appending(name)
    try makeFolder(link.removingLastComponent())
    guard unsafe symlink(target, link.string) == 0 else { throw Errno(rawValue: errno) }
  }

  /// Makes a FIFO in it, to which nobody writes.
  package func makeFIFO(_ name: String) throws {
    guard unsafe mkfifo(path.appending(name).string, 0o600) == 0 else {
      throw Errno(rawValue: errno)
    }
  }

  /// Mounts a small file system in memory on a folder in it; false if that is not allowed.
  package func mountSmallFileSystem(_ name: String, byteCount: Int) -> Bool {
    let options = Array("size=\(byteCount)".utf8CString)
    return unsafe options.withUnsafeBufferPointer { options in
      unsafe mount("tmpfs", path.appending(name).string, "tmpfs", 0, options.baseAddress) == 0
    }
  }

  /// Takes it away again.
  package func unmount(_ name: String) {
    unsafe umount2(path.appending(name).string, Int32(MNT_DETACH))
  }

  private func makeFolder(_ folder: FilePath) throws {
    guard FileKind(of: folder) == nil else { return }
    try makeFolder(folder.removingLastComponent())
    guard unsafe mkdir(folder.string, 0o700) == 0 else { throw Errno(rawValue: errno) }
  }

  private func remove() {
    Self.remove(path)
  }

  private static func remove(_ path: FilePath) {
    guard unsafe unlink(path.string) != 0 else { return }
    for name in (try? FolderListing.entries(of: path)) ?? [] { remove(path.appending(name)) }
    unsafe rmdir(path.string)
  }
}

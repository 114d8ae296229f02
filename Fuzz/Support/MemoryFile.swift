// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
package import TensorCore

/// A file in memory, rewritten for each execution: for readers that map a file.
package final class MemoryFile: Sendable {
  private let descriptor: Int32

  /// Where it can be opened.
  package let path: FilePath

  /// Makes an empty file.
  package init() {
    // In a file system that is in memory; the name is gone at once, so that nothing is left behind.
    let name = "/dev/shm/kiln-fuzz-\(getpid())"
    descriptor = unsafe open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    require(unsafe descriptor >= 0 && unlink(name) == 0, "no file in /dev/shm")
    path = FilePath("/proc/self/fd/\(descriptor)")
  }

  /// Replaces the content.
  ///
  /// - Parameters:
  ///   - bytes: What the file begins with.
  ///   - byteCount: Its size, if that is larger; what follows the bytes is a hole, which costs nothing.
  /// - Returns: The file, mapped.
  /// - Throws: `FileError` if it is too large to be mapped.
  package func map(_ bytes: [UInt8], byteCount: Int = 0) throws(FileError) -> MappedFile {
    write(bytes, byteCount: byteCount)
    return try MappedFile(path)
  }

  /// Replaces the content, see `map`.
  package func write(_ bytes: [UInt8], byteCount: Int = 0) {
    // First to nothing, so that the hole has nothing of the last execution in it.
    let size = off_t(max(bytes.count, byteCount))
    require(ftruncate(descriptor, 0) == 0 && ftruncate(descriptor, size) == 0, "ftruncate failed")
    let written = unsafe bytes.withUnsafeBytes {
      unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0)
    }
    require(written == bytes.count, "pwrite failed")
  }
}

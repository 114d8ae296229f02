// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage

/// Brings ranges of mapped files into memory for a pass over every byte, on several threads.
///
/// Reading into a buffer that stays in the cache is faster than touching mapped pages once: these
/// take a fault for every few of them, and threads of one process wait for each other to map them.
/// Memory is one buffer for each thread at work, whatever the size of the files.
@safe
public final class BlockReader: Sendable {
  /// What readers keep for the next block.
  private struct State {
    var buffers: [[UInt8]] = []
    /// Open descriptors; nil for a file that cannot be opened again and is read where it is mapped.
    var descriptors: [FileIdentity: Int32?] = [:]
  }

  private let state = Mutex(State())

  /// A reader without files; each is opened when the first range of it is read.
  public init() {}

  deinit {
    for case let descriptor? in state.withLock({ $0.descriptors.values.map { $0 } }) {
      close(descriptor)
    }
  }

  /// Lends the bytes of a region to `body`.
  ///
  /// - Throws: `FileError` if they cannot be read or the file became shorter, or what `body` throws.
  public func withBytes<Result>(
    of region: MappedRegion, _ body: (RawSpan) throws(FileError) -> Result
  ) throws(FileError) -> Result {
    guard let file = region.file, let descriptor = descriptor(of: file) else {
      defer { region.release() }
      return try body(region.bytes)
    }
    var buffer = state.withLock { $0.buffers.popLast() } ?? []
    if buffer.count < region.byteCount {
      buffer = [UInt8](repeating: 0, count: region.byteCount)
    }
    try Self.read(region, of: file, from: descriptor, into: &buffer)
    let result = try body(unsafe buffer.span.bytes.extracting(0..<region.byteCount))
    state.withLock { $0.buffers.append(buffer) }
    return result
  }

  /// Copies the bytes of a region to the front of a buffer.
  ///
  /// - Precondition: The buffer has room for them.
  /// - Throws: `FileError` if they cannot be read or the file became shorter.
  package func copy(_ region: MappedRegion, into buffer: inout [UInt8]) throws(FileError) {
    precondition(buffer.count >= region.byteCount, "a buffer without room")
    guard let file = region.file, let descriptor = descriptor(of: file) else {
      var target = buffer.mutableSpan
      var front = target._mutatingExtracting(0..<region.byteCount)
      front.copy(from: region.bytes)
      region.release()
      return
    }
    try Self.read(region, of: file, from: descriptor, into: &buffer)
  }

  private static func read(
    _ region: MappedRegion, of file: MappedFile, from descriptor: Int32, into buffer: inout [UInt8]
  ) throws(FileError) {
    var done = 0
    while done < region.byteCount {
      let count = unsafe buffer.withUnsafeMutableBytes { target in
        unsafe pread(
          descriptor, target.baseAddress.map { unsafe $0 + done }, region.byteCount - done,
          off_t(region.range.lowerBound + done))
      }
      if count > 0 {
        done += count
      } else if count == 0 {
        throw .shrank(
          file.path, expected: file.byteCount,
          found: region.range.lowerBound + done)
      } else if errno != EINTR {
        throw .system(file.path, operation: "read", .current)
      }
    }
  }

  private func descriptor(of file: MappedFile) -> Int32? {
    state.withLock { state in
      if let known = state.descriptors[file.identity] { return known }
      let descriptor = Self.open(file)
      state.descriptors[file.identity] = .some(descriptor)
      return descriptor
    }
  }

  /// Opens a file a second time.
  ///
  /// - Returns: nil if that fails or another file has its name by now.
  private static func open(_ file: MappedFile) -> Int32? {
    let descriptor = unsafe Glibc.open(file.path.cString, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0,
      file.identity == FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    else {
      close(descriptor)
      return nil
    }
    return descriptor
  }
}

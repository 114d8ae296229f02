// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a temporary name in the same folder. `commit` brings them to the disk and renames;
/// without it the temporary file is removed and whatever had the name before is untouched.
public final class OutputFile {
  /// The final name, as errors give it.
  public let path: FilePath
  /// Bytes written so far, one after the other.
  public private(set) var byteCount = 0

  private let temporary: FilePath
  private let replacing: Bool
  private var descriptor: Int32
  /// The final name for now: in a folder that has a temporary name itself, not what is shown.
  private let target: FilePath

  /// Creates the temporary file.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - replacing: Whether a file of that name may be replaced.
  ///   - byteCount: How much will be written, if known: checked against the free space.
  /// - Throws: `FileError.exists`, `.cannotCreate` or `.noSpace`.
  public convenience init(
    _ path: FilePath, replacing: Bool, byteCount: Int = 0
  ) throws(FileError) {
    try Self.checkTarget(path, replacing: replacing)
    try Self.checkSpace(for: path, byteCount: byteCount)
    try self.init(at: path, replacing: replacing, shownAs: path)
  }

  init(at target: FilePath, replacing: Bool, shownAs path: FilePath) throws(FileError) {
    let temporary = TemporaryOutputs.name(for: target)
    do {
      descriptor = try TemporaryOutputs.create(temporary) { () throws(Errno) in
        try SystemCalls.createFile(temporary)
      }
    } catch {
      throw .cannotCreate(path, operation: "open", error)
    }
    self.path = path
    self.temporary = temporary
    self.replacing = replacing
    self.target = target
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    discard()
  }

  /// Refuses an output that exists, unless it is a file that may be replaced.
  public static func checkTarget(_ path: FilePath, replacing: Bool) throws(FileError) {
    guard path.lastComponent != nil else {
      throw .cannotCreate(path, operation: "open", .isDirectory)
    }
    switch FileKind(of: path) {
    case nil:
      // A link that leads nowhere takes the name, too.
      guard replacing || !SystemCalls.isLink(path) else { throw .exists(path) }
    case .regular where replacing: return
    case .regular: throw .exists(path)
    case .directory where !replacing: throw .exists(path)
    case .directory: throw .cannotCreate(path, operation: "open", .isDirectory)
    case .special: throw .cannotCreate(path, operation: "open", .fileExists)
    }
  }

  /// Checks that the file system of a path has room.
  public static func checkSpace(for path: FilePath, byteCount: Int) throws(FileError) {
    let free: Int
    do {
      free = try SystemCalls.freeBytes(at: TemporaryOutputs.folder(of: path))
    } catch {
      throw .cannotCreate(path, operation: "open", error)
    }
    guard byteCount <= free else { throw .noSpace(path, needed: byteCount, available: free) }
  }

  /// Writes bytes behind those written so far.
  ///
  /// - Throws: `FileError.system`, for a full disk too.
  public func write(_ bytes: RawSpan) throws(FileError) {
    try write(bytes, at: byteCount)
    byteCount += bytes.byteCount
  }

  /// Writes bytes behind those written so far.
  public func write(_ bytes: [UInt8]) throws(FileError) {
    unsafe try write(bytes.span.bytes)
  }

  /// Writes zeros up to an offset.
  public func pad(to offset: Int) throws(FileError) {
    while byteCount < offset {
      try write([UInt8](repeating: 0, count: min(offset - byteCount, 1 << 16)))
    }
  }

  /// Writes bytes at an offset, over what is there.
  ///
  /// - Throws: `FileError.system`, for a full disk too.
  public func write(_ bytes: RawSpan, at offset: Int) throws(FileError) {
    var done = 0
    while done < bytes.byteCount {
      let written = unsafe bytes.withUnsafeBytes { buffer in
        unsafe pwrite(
          descriptor, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done,
          off_t(offset + done))
      }
      if written > 0 {
        done += written
      } else {
        let error: Errno = written == 0 ? .noSpace : .current
        // The kernel finds pages that are gone where a copy by this process would be a signal.
        if error == .badAddress, let source = MappedFile.holding(bytes) {
          throw source.becameShorter
        }
        guard error == .interrupted else { throw .system(path, operation: "write", error) }
      }
    }
  }

  /// Brings the bytes to the disk and gives the file its name.
  ///
  /// - Throws: `FileError`; the old file, if any, is then still there and the temporary one is gone.
  public func commit() throws(FileError) {
    guard fsync(descriptor) == 0 else { throw .system(path, operation: "fsync", .current) }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 else {
      let error = Errno.current
      discard()
      throw .system(path, operation: "close", error)
    }
    do throws(FileError) {
      try TemporaryOutputs.publish(
        temporary, as: target, shownAs: path, replacing ? .replace : .new)
    } catch {
      discard()
      throw error
    }
  }

  private func discard() {
    SystemCalls.remove(temporary)
    TemporaryOutputs.forget(temporary)
  }
}

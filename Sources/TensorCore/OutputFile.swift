// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a hidden name in the same folder, `.NAME.partial`. `commit` brings them to the disk and
/// renames; without it whatever had the name before is untouched, and the hidden file is removed
/// unless it is to be resumed.
public final class OutputFile {
  /// The final name, as errors give it.
  public let path: FilePath
  /// Bytes written so far, one after the other.
  public private(set) var byteCount = 0

  /// The name that the file has until it is complete.
  package var hiddenPath: FilePath { partial.path }

  private let partial: PartialOutput
  private let replacing: Bool
  private var isOpen = true
  /// The final name for now: in a folder that has a temporary name itself, not what is shown.
  private let target: FilePath

  /// Creates the temporary file.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - replacing: Whether a file of that name may be replaced.
  ///   - byteCount: How much will be written, if known: checked against the free space.
  ///   - resuming: Whether bytes of an earlier run are to be used, and those of this one to stay if
  ///     it fails: call `existing` and `resume` before writing.
  /// - Throws: `FileError.exists`, `.busy`, `.cannotCreate` or `.noSpace`.
  public convenience init(
    _ path: FilePath, replacing: Bool, byteCount: Int = 0, resuming: Bool = false
  ) throws(FileError) {
    try Self.checkTarget(path, replacing: replacing)
    let there = resuming ? PartialOutput.byteCount(for: path) : 0
    try Self.checkSpace(for: path, byteCount: max(0, byteCount - there))
    try self.init(at: path, replacing: replacing, resuming: resuming, shownAs: path)
  }

  init(
    at target: FilePath, replacing: Bool, resuming: Bool, shownAs path: FilePath
  ) throws(FileError) {
    partial = try PartialOutput(
      for: target, .file, resuming ? .keep : .discard, shownAs: path)
    self.path = path
    self.replacing = replacing
    self.target = target
  }

  deinit {
    if isOpen { partial.abandon() }
  }

  /// What is in the file before anything is written to it.
  ///
  /// - Throws: `FileError`.
  public func existing() throws(FileError) -> MappedFile {
    try MappedFile(partial.path)
  }

  /// Keeps the first bytes of what is there, and goes on behind them.
  ///
  /// - Throws: `FileError.system`.
  public func resume(at byteCount: Int) throws(FileError) {
    guard ftruncate(partial.descriptor, off_t(byteCount)) == 0 else {
      throw .system(path, operation: "ftruncate", .current)
    }
    self.byteCount = byteCount
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

  /// The hidden names that an output of that name has while it is written, and its journal: what is
  /// there is replaced.
  public static func hiddenPaths(for path: FilePath) -> [FilePath] {
    let target = FileKind(of: path) == .directory ? SystemCalls.canonical(path) ?? path : path
    return ["partial", "journal"].map { PartialOutput.name(for: target, suffix: $0) }
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
          partial.descriptor, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done,
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
    guard fsync(partial.descriptor) == 0 else {
      throw .system(path, operation: "fsync", .current)
    }
    guard partial.hasItsName else { throw .busy(path) }
    // Some file systems tell only at `close` that a write has failed. A second descriptor keeps the
    // lock meanwhile, so that nobody else resumes a file that is about to get its name.
    let lock = dup(partial.descriptor)
    defer { close(lock) }
    isOpen = false
    guard close(partial.descriptor) == 0 else {
      let error = Errno.current
      partial.discard()
      throw .system(path, operation: "close", error)
    }
    do throws(FileError) {
      try TemporaryOutputs.publish(
        partial.path, as: target, shownAs: path, replacing ? .replace : .new)
    } catch {
      partial.discard()
      throw error
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// Lines about an output that is being written, in a hidden file beside it, `.NAME.journal`.
///
/// Lines are only ever added, and each is written by one call. After a kill the last one may be cut
/// off; who reads them must check each by itself.
public final class JournalFile {
  /// Where it is.
  public let path: FilePath
  private let descriptor: Int32
  private let isKept: Bool
  private var isOpen = true

  /// Most bytes of a journal that are read back: far more than any checkpoint's has.
  private static let maximumByteCount = 1 << 28

  /// Starts a journal, or opens that of an earlier run.
  ///
  /// - Parameters:
  ///   - output: The final name of the output, which this process has locked.
  ///   - resuming: Whether lines of an earlier run stay, and those of this one if it fails.
  /// - Throws: `FileError.cannotCreate`.
  public init(for output: FilePath, resuming: Bool) throws(FileError) {
    path = PartialOutput.name(for: output, suffix: "journal")
    isKept = resuming
    let path = path
    do {
      descriptor = try TemporaryOutputs.create(path, isRemovedBySignals: !resuming) {
        () throws(Errno) in
        if resuming, let descriptor = try? SystemCalls.open(path, writing: true) {
          guard !SystemCalls.isSoleFile(descriptor) else { return descriptor }
          Glibc.close(descriptor)
        }
        SystemCalls.remove(path)
        return try SystemCalls.createFile(path)
      }
    } catch {
      throw .cannotCreate(path, operation: "open", error)
    }
  }

  deinit {
    if isOpen { close(removing: !isKept) }
  }

  /// The whole lines of an earlier run, without their ends; none if there is too much.
  ///
  /// - Throws: `FileError.system`.
  public func lines() throws(FileError) -> [[UInt8]] {
    let file = try MappedFile(path)
    guard file.byteCount <= Self.maximumByteCount else { return [] }
    let bytes = file.bytes.copy()
    guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
    return bytes[..<end].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { [UInt8]($0) }
  }

  /// Removes all lines.
  ///
  /// - Throws: `FileError.system`.
  public func clear() throws(FileError) {
    try truncate(to: 0)
  }

  /// Keeps so many bytes, whole lines, and goes on behind them.
  ///
  /// - Throws: `FileError.system`.
  public func keep(_ byteCount: Int) throws(FileError) {
    try truncate(to: byteCount)
  }

  /// Adds a line.
  ///
  /// - Throws: `FileError.system`, for a full disk too.
  public func append(_ line: [UInt8]) throws(FileError) {
    let bytes = line + [UInt8(ascii: "\n")]
    var done = 0
    while done < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { buffer in
        unsafe write(
          descriptor, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
      }
      let error: Errno = written == 0 ? .noSpace : .current
      guard written > 0 || error == .interrupted else {
        throw .system(path, operation: "write", error)
      }
      done += max(written, 0)
    }
  }

  /// Removes the journal of an output that is complete.
  public func remove() {
    isOpen = false
    close(removing: true)
  }

  private func close(removing: Bool) {
    // The output's lock may be gone by now, and the next run may have a journal of its own.
    if removing, SystemCalls.leads(path, to: descriptor) { SystemCalls.remove(path) }
    Glibc.close(descriptor)
    TemporaryOutputs.forget(path)
  }

  private func truncate(to byteCount: Int) throws(FileError) {
    guard ftruncate(descriptor, off_t(byteCount)) == 0,
      lseek(descriptor, off_t(byteCount), SEEK_SET) >= 0
    else { throw .system(path, operation: "ftruncate", .current) }
  }
}

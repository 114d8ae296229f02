// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// Memory for what cannot be used where it is stored, filled once and only read from then on.
///
/// It is mapped and not allocated: that there is not enough is an error, not the end of the process.
@safe
public final class UnpackedMemory: Sendable {
  /// Number of bytes.
  public let byteCount: Int

  private nonisolated(unsafe) let base: UnsafeMutableRawPointer?

  /// Takes memory and fills it, piece by piece, on several threads.
  ///
  /// - Parameters:
  ///   - byteCount: Bytes of all pieces.
  ///   - pieceByteCount: Bytes of a piece; the last may be shorter.
  ///   - workers: Threads.
  ///   - fill: Called once for each piece with its number and its bytes, which are 0.
  /// - Throws: `Errno` if there is no memory, else what `fill` throws for the first piece that fails.
  package init(
    byteCount: Int, pieceByteCount: Int, workers: Workers,
    fill: @Sendable (_ piece: Int, _ bytes: inout MutableRawSpan) throws -> Void
  ) throws {
    self.byteCount = byteCount
    guard byteCount > 0 else {
      unsafe base = nil
      return
    }
    let mapping = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
      throw Errno.current
    }
    unsafe base = mapping
    let pieces = (byteCount - 1) / pieceByteCount + 1
    let results = workers.map(pieces) { piece in
      Result { try self.fill(piece, ofByteCount: pieceByteCount, fill) }
    }
    for result in results { try result.get() }
  }

  /// A copy of bytes that were computed.
  ///
  /// - Throws: `Errno` if there is no memory.
  package convenience init(copying source: [UInt8]) throws {
    try self.init(
      byteCount: source.count, pieceByteCount: 1 << 20, workers: Workers(count: 1)
    ) { piece, bytes in
      let start = piece << 20
      for index in 0..<bytes.byteCount {
        bytes.storeBytes(of: source[start + index], toByteOffset: index, as: UInt8.self)
      }
    }
  }

  deinit {
    if let base = unsafe base { unsafe munmap(base, byteCount) }
  }

  /// All bytes.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      guard let base = unsafe base else { return RawSpan() }
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: byteCount)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Pieces do not overlap, so that any number of them can be filled at a time.
  private func fill(
    _ piece: Int, ofByteCount pieceByteCount: Int,
    _ fill: (Int, inout MutableRawSpan) throws -> Void
  ) throws {
    guard let base = unsafe base else { return }
    let start = piece * pieceByteCount
    let count = min(pieceByteCount, byteCount - start)
    var span = unsafe MutableRawSpan(_unsafeStart: base + start, byteCount: count)
    try fill(piece, &span)
  }
}

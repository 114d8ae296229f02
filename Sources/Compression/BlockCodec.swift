// SPDX-License-Identifier: Apache-2.0

import CZstd
import TensorCore

/// Blocks of a compressed tensor as the packed format stores them (`Formats/Kiln.md`, Compression):
/// each by itself, a byte-plane shuffle and one zstd frame, or as they are if that is not shorter.
public struct BlockCodec: Sendable, Equatable {
  /// Levels that zstd knows.
  public static let levels = 1...22
  /// The level that nobody has to think about.
  public static let defaultLevel = 3
  /// How many times its stored size a block may have at most.
  public static let maximumRatio = 1024
  /// The version of zstd, which decides the bytes that compression gives.
  public static var libraryVersion: Int { Int(ZSTD_versionNumber()) }
  /// Largest window of a frame, in bytes.
  static let maximumWindowByteCount = 8 << 20

  /// Bytes of an element whose planes are separated; 1 to leave bytes in their order.
  public let elementByteCount: Int

  /// - Parameter elementByteCount: Bytes of an element, 1 if there is nothing to shuffle.
  public init(elementByteCount: Int) {
    self.elementByteCount = max(elementByteCount, 1)
  }

  /// Fewest bytes in which a block may be stored.
  public static func minimumStoredByteCount(_ byteCount: Int) -> Int {
    byteCount / maximumRatio
  }

  // MARK: - Writing

  /// Compresses one block.
  ///
  /// - Parameters:
  ///   - block: The content.
  ///   - level: One of `levels`.
  /// - Returns: The stored form; nil if it would not be shorter than the content.
  public func compress(_ block: RawSpan, level: Int) -> [UInt8]? {
    let byteCount = block.byteCount
    guard byteCount > 1 else { return nil }
    guard elementByteCount > 1 else { return Self.frame(block, level: level) }
    let planes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      var target = unsafe MutableRawSpan(_unsafeElements: buffer)
      BytePlanes.split(block, width: elementByteCount, into: &target)
      count = byteCount
    }
    return unsafe Self.frame(planes.span.bytes, level: level)
  }

  private static func frame(_ content: RawSpan, level: Int) -> [UInt8]? {
    // Room for one byte less than the content: zstd gives up when a frame would not be shorter.
    var frame = [UInt8](repeating: 0, count: content.byteCount - 1)
    let size = unsafe content.withUnsafeBytes { source in
      unsafe frame.withUnsafeMutableBytes { target in
        unsafe ZSTD_compress(
          target.baseAddress, target.count, source.baseAddress, source.count, Int32(level))
      }
    }
    guard ZSTD_isError(size) == 0, size < content.byteCount else { return nil }
    // What is behind the frame was zstd's to write to, and must be 0.
    let padding = max(0, minimumStoredByteCount(content.byteCount) - size)
    frame.removeLast(frame.count - size)
    return frame + [UInt8](repeating: 0, count: padding)
  }

  // MARK: - Reading

  /// Reads one block into memory that is exactly as large as its content.
  ///
  /// Whatever the stored bytes say, not more than that is written, and no other memory is taken than
  /// zstd's own fixed tables and a copy of the block.
  ///
  /// - Throws: `CompressionError`; the content is then undefined.
  public func decompress(
    _ stored: RawSpan, into content: inout MutableRawSpan
  ) throws(CompressionError) {
    let byteCount = content.byteCount
    guard stored.byteCount != byteCount else {
      Self.copy(stored, into: &content)
      return
    }
    guard stored.byteCount < byteCount, elementByteCount > 1 else {
      try Self.unframe(stored, into: &content)
      return
    }
    var planes = [UInt8](repeating: 0, count: byteCount)
    var span = planes.mutableSpan
    var bytes = unsafe span.mutableBytes
    try Self.unframe(stored, into: &bytes)
    unsafe BytePlanes.join(planes.span.bytes, width: elementByteCount, into: &content)
  }

  private static func copy(_ bytes: RawSpan, into target: inout MutableRawSpan) {
    unsafe bytes.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { unsafe $0.copyMemory(from: source) }
    }
  }

  private static func unframe(
    _ stored: RawSpan, into content: inout MutableRawSpan
  ) throws(CompressionError) {
    guard stored.byteCount <= content.byteCount else {
      throw .frame("\(stored.byteCount) bytes for a content of \(content.byteCount)")
    }
    let used = try checkFrame(stored, contentByteCount: content.byteCount)
    let size = unsafe stored.withUnsafeBytes { source in
      unsafe content.withUnsafeMutableBytes { target in
        unsafe ZSTD_decompress(target.baseAddress, target.count, source.baseAddress, used)
      }
    }
    guard ZSTD_isError(size) == 0 else { throw damage(size) }
    guard size == content.byteCount else {
      throw .frame("the frame has \(size) bytes, expected \(content.byteCount)")
    }
  }

  /// Checks what a frame says of itself before any of it is decoded.
  ///
  /// - Returns: Bytes of the frame; behind it are only zeros.
  private static func checkFrame(
    _ stored: RawSpan, contentByteCount: Int
  ) throws(CompressionError) -> Int {
    var header = ZSTD_frameHeader()
    let (missing, used) = unsafe stored.withUnsafeBytes { source in
      unsafe (
        ZSTD_getFrameHeader(&header, source.baseAddress, source.count),
        ZSTD_findFrameCompressedSize(source.baseAddress, source.count)
      )
    }
    guard ZSTD_isError(missing) == 0 else { throw damage(missing) }
    guard missing == 0 else { throw .frame("the frame is cut off") }
    guard header.frameType == ZSTD_frame else { throw .frame("is a skippable frame") }
    guard header.frameContentSize == UInt64(contentByteCount) else {
      throw .frame("the frame does not declare a content of \(contentByteCount) bytes")
    }
    guard header.windowSize <= UInt64(maximumWindowByteCount) else {
      throw .frame("a window of \(header.windowSize) bytes, at most 8 MiB are permitted")
    }
    guard header.dictID == 0 else { throw .frame("the frame needs a dictionary") }
    guard ZSTD_isError(used) == 0 else { throw damage(used) }
    guard used <= stored.byteCount, stored.isZero(used..<stored.byteCount) else {
      throw .frame("more than one frame")
    }
    return used
  }

  private static func damage(_ code: Int) -> CompressionError {
    .damaged(unsafe String(cString: ZSTD_getErrorName(code)))
  }
}

// SPDX-License-Identifier: Apache-2.0

// The unchecked loads of single values; kernels in C read whole rows. The formats that Kiln reads are little-endian and
// so is every machine that Swift on Linux runs on.

import Glibc

/// Loads of fixed-width integers and copies, at any alignment, bounds-checked.
extension RawSpan {
  /// The byte at `offset`.
  ///
  /// - Precondition: `offset` lies inside the span.
  @inlinable
  public func byte(at offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < byteCount, "byte offset out of bounds")
    return unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// The little-endian integer whose first byte is at `offset`.
  ///
  /// - Precondition: All of its bytes lie inside the span.
  @inlinable
  public func load<Value: FixedWidthInteger & BitwiseCopyable>(
    at offset: Int, as type: Value.Type
  ) -> Value {
    precondition(
      offset >= 0 && offset <= byteCount - MemoryLayout<Value>.size, "load out of bounds")
    return Value(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  /// The bytes of a range as an array.
  ///
  /// - Precondition: The range lies inside the span.
  public func copy(_ range: Range<Int>) -> [UInt8] {
    let part = extracting(range)
    return unsafe part.withUnsafeBytes { unsafe [UInt8]($0) }
  }

  /// All bytes as an array.
  public func copy() -> [UInt8] { copy(0..<byteCount) }

  /// Whether two spans hold the same bytes.
  public func equals(_ other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    return unsafe withUnsafeBytes { left in
      unsafe other.withUnsafeBytes { right in
        guard let left = left.baseAddress, let right = right.baseAddress else { return true }
        return unsafe memcmp(left, right, byteCount) == 0
      }
    }
  }

  /// Whether all bytes of a range are 0.
  ///
  /// - Precondition: The range lies inside the span.
  public func isZero(_ range: Range<Int>) -> Bool {
    // Equal to itself one byte further on, and the first is 0.
    guard let first = range.first else { return true }
    return byte(at: first) == 0
      && extracting(range.dropLast()).equals(extracting(range.dropFirst()))
  }
}

extension Array where Element == UInt8 {
  /// The bytes of some values as a file holds them, lowest byte first.
  public init<Value: BitwiseCopyable>(littleEndian values: [Value]) {
    self = unsafe values.withUnsafeBytes { unsafe [UInt8]($0) }
  }
}

extension MutableSpan where Element == UInt8 {
  /// Takes all bytes of another span.
  ///
  /// - Precondition: Both have the same length.
  package mutating func copy(from bytes: RawSpan) {
    precondition(count == bytes.byteCount, "spans differ in length")
    unsafe withUnsafeMutableBufferPointer { target in
      unsafe bytes.withUnsafeBytes { source in
        unsafe UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
      }
    }
  }
}

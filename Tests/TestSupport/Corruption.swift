// SPDX-License-Identifier: Apache-2.0

/// Damage to the bytes of a file.
extension Array where Element == UInt8 {
  /// The same bytes with one bit changed; bits count from the lowest of byte 0.
  package func flippingBit(_ bit: Int) -> [UInt8] {
    var bytes = self
    bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    return bytes
  }

  /// The same bytes with others in place of some.
  package func replacing(_ range: Range<Int>, with replacement: [UInt8]) -> [UInt8] {
    var bytes = self
    bytes.replaceSubrange(range, with: replacement)
    return bytes
  }

  /// The same bytes with an integer in little-endian order at an offset.
  package func replacing<Value: FixedWidthInteger>(at offset: Int, with value: Value) -> [UInt8] {
    replacing(offset..<offset + value.bitWidth / 8, with: value.littleEndianBytes)
  }

  /// The eight bytes at an offset as a whole number, in little-endian order.
  package func word(at offset: Int) -> Int {
    self[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  /// The same bytes with every occurrence of a text replaced by another of the same length.
  package func replacing(_ text: String, with other: String) -> [UInt8] {
    var result: [UInt8] = []
    var rest = self[...]
    while let first = rest.first {
      if rest.starts(with: text.utf8) {
        result.append(contentsOf: other.utf8)
        rest = rest.dropFirst(text.utf8.count)
      } else {
        result.append(first)
        rest = rest.dropFirst()
      }
    }
    return result
  }
}

extension FixedWidthInteger {
  /// The bytes of the value, lowest first.
  package var littleEndianBytes: [UInt8] {
    (0..<bitWidth / 8).map { UInt8(truncatingIfNeeded: self >> Self(8 * $0)) }
  }
}

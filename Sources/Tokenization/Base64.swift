// SPDX-License-Identifier: Apache-2.0

/// A strict decoder of base64 (RFC 4648, section 4).
///
/// Groups of four characters, padding only where the last group needs it, no white space, unused
/// bits zero: every sequence of bytes has exactly one spelling.
enum Base64 {
  /// Why a text is not base64, as the words of an error message.
  struct Failure: Error {
    let found: String
    let expected: String
  }

  /// Appends the bytes that a text stands for.
  ///
  /// - Throws: `Failure` if the text is not strict base64; `output` may have grown by then.
  static func decode(_ text: ArraySlice<UInt8>, into output: inout [UInt8]) throws(Failure) {
    guard text.count.isMultiple(of: 4) else {
      throw Failure(
        found: "base64 of \(text.count) characters, \(quoted(text))",
        expected: "a multiple of 4, padded with \"=\"")
    }
    let padding = text.suffix(2).reversed().prefix { $0 == UInt8(ascii: "=") }.count
    var bits: UInt32 = 0
    for (index, character) in text.dropLast(padding).enumerated() {
      guard let value = value(of: character) else {
        throw Failure(
          found: "\(quoted([character])) in the base64 text \(quoted(text))",
          expected: "A-Z, a-z, 0-9, + or /")
      }
      bits = bits << 6 | value
      if index % 4 == 3 {
        output.append(UInt8(truncatingIfNeeded: bits >> 16))
        output.append(UInt8(truncatingIfNeeded: bits >> 8))
        output.append(UInt8(truncatingIfNeeded: bits))
        bits = 0
      }
    }
    // A last group of three characters has 18 bits for two bytes, one of two has 12 for one.
    if padding > 0 {
      let unused = 2 * padding
      guard bits & (1 << unused - 1) == 0 else {
        throw Failure(
          found: "base64 text whose last character has surplus bits, \(quoted(text))",
          expected: "zero in the bits that stand for no byte")
      }
      if padding == 1 { output.append(UInt8(truncatingIfNeeded: bits >> 10)) }
      output.append(UInt8(truncatingIfNeeded: bits >> (padding == 1 ? 2 : 4)))
    }
  }

  private static func value(of character: UInt8) -> UInt32? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}

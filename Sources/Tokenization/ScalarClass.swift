// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// The character classes of the pre-tokenizer's pattern that a code point belongs to.
struct ScalarClass: OptionSet, Sendable {
  let rawValue: UInt8

  /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]`: can stand in the first half of a word.
  static let leading = ScalarClass(rawValue: 1)
  /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]`: can stand in the second half of a word.
  static let trailing = ScalarClass(rawValue: 2)
  /// `\p{N}`.
  static let number = ScalarClass(rawValue: 4)
  /// `[^\s\p{L}\p{N}]`: punctuation, symbols, marks and what is unassigned.
  static let symbol = ScalarClass(rawValue: 8)
  /// `\s`, which is White_Space.
  static let space = ScalarClass(rawValue: 16)
  /// `[\r\n]`.
  static let newline = ScalarClass(rawValue: 32)
  /// `\p{Han}`.
  static let han = ScalarClass(rawValue: 64)
}

extension ScalarClass {
  /// The classes of a code point.
  @inline(__always)
  init(_ scalar: Unicode.Scalar) {
    self =
      scalar.value < 0x80
      ? Self(ascii: UInt8(truncatingIfNeeded: scalar.value)) : Self(beyondASCII: scalar)
  }

  @inline(__always)
  private init(ascii byte: UInt8) {
    self =
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"): .trailing
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): .leading
      case UInt8(ascii: "0")...UInt8(ascii: "9"): .number
      case 0x0A, 0x0D: [.space, .newline]
      case 0x09, 0x0B, 0x0C, 0x20: .space
      default: .symbol
      }
  }

  private init(beyondASCII scalar: Unicode.Scalar) {
    let isHan = HanScript.contains(scalar)
    self =
      switch scalar.properties.generalCategory {
      case .uppercaseLetter, .titlecaseLetter: .leading
      case .lowercaseLetter: .trailing
      case .modifierLetter, .otherLetter: isHan ? [] : [.leading, .trailing]
      case .nonspacingMark, .spacingMark, .enclosingMark:
        isHan ? .symbol : [.leading, .trailing, .symbol]
      case .decimalNumber, .letterNumber, .otherNumber: .number
      case .spaceSeparator, .lineSeparator, .paragraphSeparator: .space
      // The only control character beyond ASCII that is White_Space.
      case .control: scalar.value == 0x85 ? .space : .symbol
      default: .symbol
      }
    if isHan { insert(.han) }
  }

  /// Whether the code point belongs to at least one of these classes.
  @inline(__always)
  func isAny(of classes: ScalarClass) -> Bool { !isDisjoint(with: classes) }
}

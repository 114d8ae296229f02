// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// Cuts a text into the pieces that tokens never cross.
///
/// The pieces are the matches of this pattern, which has to be read as the Rust crate `regex` reads
/// it: leftmost, the first alternative that matches, with backtracking inside it.
///
/// 1. `[\p{Han}]+`
/// 2. `[^\r\n\p{L}\p{N}]?A*B+C?`
/// 3. `[^\r\n\p{L}\p{N}]?A+B*C?`
/// 4. `\p{N}{1,3}`
/// 5. ` ?[^\s\p{L}\p{N}]+[\r\n]*`
/// 6. `\s*[\r\n]+`
/// 7. `\s+(?!\S)`
/// 8. `\s+`
///
/// Here A is `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]`, B is
/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]`, and C is `(?i:'s|'t|'re|'ve|'m|'ll|'d)`. Every code
/// point begins some alternative, so the pieces are the whole text.
///
/// It is a scanner by hand rather than a regular expression because Swift's `Regex` is a hundred
/// times slower (1.3 MB/s of English text), and the PCRE2 of Debian 12 has the tables of Unicode 14.
/// The tables used here are those of the Swift standard library, Unicode 17 in Swift 6.3. A `regex`
/// crate with older tables cuts differently at code points that were unassigned then, and at
/// U+0295, which was a lower-case letter before Unicode 17 and has no case since.
package enum PreTokenizer {
  /// The pieces of a text, in order and without gaps.
  ///
  /// - Precondition: The text is valid UTF-8.
  package static func pieces(of text: [UInt8]) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var start = 0
    while start < text.count {
      let end = pieceEnd(in: text.rawBytes, from: start)
      pieces.append(start..<end)
      start = end
    }
    return pieces
  }

  /// Where the piece that begins at `start` ends.
  ///
  /// - Precondition: The text is valid UTF-8 and a code point begins at `start`.
  static func pieceEnd(in text: RawSpan, from start: Int) -> Int {
    let (first, end) = text.scalarClass(at: start)
    if first.contains(.han) { return text.runEnd(of: .han, from: end) }
    if let end = wordEnd(in: text, from: start, first: first, firstEnd: end) { return end }
    if first.contains(.number) { return numberEnd(in: text, from: end) }
    if let end = symbolsEnd(in: text, from: start, first: first, firstEnd: end) { return end }
    return spaceEnd(in: text, from: start)
  }

  /// Alternatives 2 and 3: a word, perhaps with one character before it and a contraction after it.
  ///
  /// The prefix is greedy and gives way if no word follows it. Marks are the only characters that
  /// can be both prefix and word. A word that begins after such a mark would be continued by
  /// beginning at the mark, with the same end, so a mark is always taken as the word's beginning.
  private static func wordEnd(
    in text: RawSpan, from start: Int, first: ScalarClass, firstEnd: Int
  ) -> Int? {
    if first.isAny(of: [.leading, .trailing]) { return wordEnd(in: text, from: start) }
    guard first.isAny(of: [.symbol, .space]), !first.contains(.newline) else { return nil }
    return wordEnd(in: text, from: firstEnd)
  }

  /// `A*B+C?` or else `A+B*C?` at `start`; nil if neither matches.
  ///
  /// A and B share the characters without case, so how `A*` backtracks matters. Take the longest
  /// run of A. If a B follows that is not an A (a lower-case letter), `B+` goes on from there. If
  /// not, `A*` gives back characters until the first of those it gave back is a B: the last
  /// character without case in the run. What follows it is upper case, so `B+` ends there, in the
  /// middle of the run. If there is none, the run is all upper case, alternative 2 has failed, and
  /// alternative 3 takes the whole of it: its `B*` finds nothing. C never makes the rest fail.
  private static func wordEnd(in text: RawSpan, from start: Int) -> Int? {
    var end = start
    var endOfLastShared: Int?
    while end < text.byteCount {
      let (scalar, next) = text.scalarClass(at: end)
      if !scalar.contains(.leading) {
        if scalar.contains(.trailing) {
          return contractionEnd(in: text, from: text.runEnd(of: .trailing, from: next))
        }
        break
      }
      end = next
      if scalar.contains(.trailing) { endOfLastShared = end }
    }
    if let endOfLastShared { return contractionEnd(in: text, from: endOfLastShared) }
    return end > start ? contractionEnd(in: text, from: end) : nil
  }

  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` at `start`.
  ///
  /// Simple case folding adds one letter that is not ASCII: U+017F, the long s.
  private static func contractionEnd(in text: RawSpan, from start: Int) -> Int {
    guard text.byteCount - start >= 2, text.byte(at: start) == UInt8(ascii: "'") else {
      return start
    }
    let first = text.byte(at: start + 1)
    let second = text.byteCount - start >= 3 ? text.byte(at: start + 2) : 0
    // Bit 5 is the case of an ASCII letter. No other ASCII character becomes one of these by it.
    switch (first | 0x20, second | 0x20) {
    case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _),
      (UInt8(ascii: "d"), _):
      return start + 2
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
      (UInt8(ascii: "l"), UInt8(ascii: "l")):
      return start + 3
    default:
      return first == 0xC5 && second == 0xBF ? start + 3 : start
    }
  }

  /// Alternative 4, `\p{N}{1,3}`, after its first character.
  private static func numberEnd(in text: RawSpan, from start: Int) -> Int {
    var end = start
    for _ in 0..<2 where end < text.byteCount {
      let (scalar, next) = text.scalarClass(at: end)
      guard scalar.contains(.number) else { break }
      end = next
    }
    return end
  }

  /// Alternative 5, ` ?[^\s\p{L}\p{N}]+[\r\n]*`; nil if it does not match.
  ///
  /// Nothing to backtrack: the space is no symbol, and symbols are no newlines.
  private static func symbolsEnd(
    in text: RawSpan, from start: Int, first: ScalarClass, firstEnd: Int
  ) -> Int? {
    var end = start
    if first.contains(.symbol) || text.byte(at: start) == UInt8(ascii: " ") { end = firstEnd }
    let symbolsEnd = text.runEnd(of: .symbol, from: end)
    guard first.contains(.symbol) || symbolsEnd > end else { return nil }
    return text.runEnd(of: .newline, from: symbolsEnd)
  }

  /// Alternatives 6 to 8 on the run of white space at `start`.
  ///
  /// - 6, `\s*[\r\n]+`: if there is a newline in the run, `\s*` backtracks to just before the last
  ///   one, and the piece ends after that.
  /// - 7, `\s+(?!\S)`: at the end of the text the whole run. Elsewhere `\s+` gives back one
  ///   character, the one that becomes the prefix of what follows, if it keeps another.
  /// - 8, `\s+`: what is left is a run of a single character.
  private static func spaceEnd(in text: RawSpan, from start: Int) -> Int {
    var end = start
    var lastStart = start
    var endOfLastNewline: Int?
    while end < text.byteCount {
      let (scalar, next) = text.scalarClass(at: end)
      guard scalar.contains(.space) else { break }
      lastStart = end
      end = next
      if scalar.contains(.newline) { endOfLastNewline = end }
    }
    if let endOfLastNewline { return endOfLastNewline }
    return end < text.byteCount && lastStart > start ? lastStart : end
  }
}

extension RawSpan {
  /// The classes of the code point at `offset`, and where it ends.
  ///
  /// - Precondition: The span is valid UTF-8 and a code point begins at `offset`.
  @inline(__always)
  fileprivate func scalarClass(at offset: Int) -> (ScalarClass, end: Int) {
    let lead = byte(at: offset)
    if lead < 0x80 { return (ScalarClass(Unicode.Scalar(lead)), offset + 1) }
    return scalarClassBeyondASCII(at: offset)
  }

  private func scalarClassBeyondASCII(at offset: Int) -> (ScalarClass, end: Int) {
    let lead = UInt32(byte(at: offset))
    let (length, bits) =
      switch lead {
      case ..<0xE0: (2, lead & 0x1F)
      case ..<0xF0: (3, lead & 0x0F)
      default: (4, lead & 0x07)
      }
    var value = bits
    for index in 1..<length { value = value << 6 | UInt32(byte(at: offset + index)) & 0x3F }
    let scalar = Unicode.Scalar(value) ?? "\u{FFFD}"
    return (ScalarClass(scalar), offset + length)
  }

  /// The end of the longest run of code points of some classes that begins at `offset`.
  @inline(__always)
  fileprivate func runEnd(of classes: ScalarClass, from offset: Int) -> Int {
    var end = offset
    while end < byteCount {
      let (scalar, next) = scalarClass(at: end)
      guard scalar.isAny(of: classes) else { break }
      end = next
    }
    return end
  }
}

// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import Tokenization

/// Where the pattern of the pre-tokenizer cuts, and above all how it backtracks.
struct PreTokenizerTests {
  private func pieces(_ text: String) -> [String] {
    let bytes = Array(text.utf8)
    return PreTokenizer.pieces(of: bytes).map { String(decoding: bytes[$0], as: UTF8.self) }
  }

  @Test(arguments: [
    ["HTTPServer", " i", "OS", " ABC", " Xy", "Z"],
    ["_foo", "_bar", "=Baz", " -", "9"],
    // The run of upper case and caseless letters ends at its last caseless one.
    ["ª", "AB"], ["AªBª", "CD"], ["ªABc"], ["aª", "B"],
    // A title-case letter begins a word and does not continue one.
    ["ǅa", "ǅ", "!"], ["aa", "ǅa"],
    // A mark can be the prefix, but a word of upper case behind it does not make it one.
    ["\u{301}", "AB"], ["\u{301}ab"], ["\u{301}Ab"], ["!\u{301}x"], ["!!\u{301}", "x"],
    ["e\u{301}t", "E\u{301}", "T"],
    // Anything but a letter, a digit or a newline is a prefix.
    ["\tx", "\u{2028}x", "\u{A0}x", "😀x", "、か"], ["\n", "x"], ["1", "x"],
  ])
  func words(expected: [String]) {
    #expect(pieces(expected.joined()) == expected)
  }

  @Test(arguments: [
    ["it's", " I'M", " they'LL", "'d", " we'Ve", " you'rE", " t't"],
    ["it'ſ"], ["it", "'x"], ["it", "''", "s"], ["it", "'l"], ["it", "'"], ["it", "'r"],
    ["IT's", "Ab's"], ["ª's"], ["\u{301}'s"], ["1", "'s"], ["汉", "'s"],
    ["it", "’s"], ["a's", "s"],
  ])
  func contractions(expected: [String]) {
    #expect(pieces(expected.joined()) == expected)
  }

  @Test(arguments: [
    ["汉字", "abc"], ["abc", "汉字"], ["汉々〇", "か"],
    // The comma is used with Han but is not of that script.
    ["汉", "、", "字"],
    // Han that is a number or a symbol can be inside a piece that another character began.
    ["1〇", "二"], ["〇", "1"], [" ⺀"], ["⺀", "!"], ["!⺀"],
  ])
  func han(expected: [String]) {
    #expect(pieces(expected.joined()) == expected)
  }

  @Test(arguments: [
    ["123", "456", "7"], ["a", "12", "b"], [" ", "12"], ["١٢٣", "٤"], ["Ⅷ½", "!"],
  ])
  func numbers(expected: [String]) {
    #expect(pieces(expected.joined()) == expected)
  }

  @Test(arguments: [
    ["a", " ", " b"], ["a", "  "], ["a", " \n\n", " b"], ["  \n", " ", " x"],
    ["a", "\r\n\r\n", "b"],
    ["!?", " ..."], ["!\r\n\n", " x"], [" !\n", "!"], ["\u{A0}", "\u{A0}", "1"],
    ["\u{3000}", "\u{3000}", "、"], [" ", " ", "1"], ["\t \n"],
    ["\u{85}", "\u{85}x"], ["\u{200B}x"], [" \u{200B}\u{200B}"],
  ])
  func symbolsAndWhiteSpace(expected: [String]) {
    #expect(pieces(expected.joined()) == expected)
  }

  @Test func piecesAreTheWholeText() {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<3000 {
      var text = ""
      for _ in 0..<Int.random(in: 0...30, using: &generator) {
        let limit: UInt32 =
          [0x80, 0x800, 0x1_0000, 0x11_0000].randomElement(using: &generator) ?? 0
        let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &generator))
        text.unicodeScalars.append(scalar ?? " ")
      }
      let pieces = PreTokenizer.pieces(of: Array(text.utf8))
      var end = 0
      for piece in pieces {
        #expect(piece.lowerBound == end && !piece.isEmpty, "seed \(seed)")
        end = piece.upperBound
      }
      #expect(end == text.utf8.count, "seed \(seed)")
      #expect(self.pieces(text).joined().utf8.elementsEqual(text.utf8), "seed \(seed)")
    }
  }
}

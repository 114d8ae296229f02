// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import Tokenization

struct TokenizerTests {
  private let tokenizer: Tokenizer

  init() throws {
    tokenizer = try TinyVocabulary.tokenizer(TinyVocabulary.lines(["ab", "é"]))
  }

  @Test func theEmptyText() throws {
    #expect(try tokenizer.encode("") == [])
    #expect(try tokenizer.encode("", allowSpecial: true) == [])
    #expect(try tokenizer.decode([]) == [])
  }

  @Test func tokensNeedNotBeUTF8() throws {
    #expect(try tokenizer.encode("è") == [0xC3, 0xA8])
    #expect(try tokenizer.decode([0xC3]) == [0xC3])
    #expect(try tokenizer.decode([257, 0xFF, 256]) == [0xC3, 0xA9, 0xFF, 0x61, 0x62])
  }

  @Test(
    arguments: [
      ([0xFF], 0), ([0x61, 0x62, 0x80, 0x63], 2), ([0x61, 0xC3], 1), ([0xE2, 0x82], 0),
      ([0x61, 0xC0, 0x80], 1), ([0xED, 0xA0, 0x80], 0), ([0x61, 0xF4, 0x90, 0x80, 0x80], 1),
      ([0xC3, 0xA9, 0xF0, 0x9F, 0x98, 0x61], 2),
    ] as [([UInt8], Int)])
  func textThatIsNotUTF8(text: [UInt8], offset: Int) {
    #expect(
      throws: TokenizerError.invalidUTF8(file: "corpus.txt", offset: offset, byte: text[offset])
    ) {
      try tokenizer.encode(text, file: "corpus.txt")
    }
  }

  @Test(arguments: [514, -1, Int.max, Int.min])
  func anUnknownID(id: Int) {
    let error = TokenizerError.unknownID(id, known: 0...513)
    #expect(throws: error) { try tokenizer.decode([97, id]) }
    #expect(error.description == "no token has the id \(id), expected 0 to 513")
  }

  @Test func everyTextComesBack() throws {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      let scalars = (0..<50).compactMap { _ in
        Unicode.Scalar(UInt32.random(in: 0..<0x11_0000, using: &generator))
      }
      var text = String.UnicodeScalarView()
      text.append(contentsOf: scalars)
      let bytes = Array(String(text).utf8)
      for allowSpecial in [false, true] {
        let ids = try tokenizer.encode(bytes, file: "text", allowSpecial: allowSpecial)
        #expect(try tokenizer.decode(ids) == bytes, "seed \(seed)")
      }
    }
  }
}

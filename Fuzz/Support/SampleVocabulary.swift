// SPDX-License-Identifier: Apache-2.0

import TensorCore
package import Tokenization

/// A small vocabulary that is right, for targets that are about something else.
package enum SampleVocabulary {
  /// Lines of a `tiktoken.model` for the 256 single bytes, each of which has its value as rank.
  package static let singleBytes = Array((0..<256).map { line([UInt8($0)], rank: $0) }.joined())

  /// A tokenizer with tokens that give merging of bytes something to do.
  ///
  /// - Throws: What its reader finds wrong, hence nothing.
  package static func tokenizer() throws -> Tokenizer {
    let words = [
      "th", "he", "the", " the", "aa", "aaa", "aaaa", "aaaaaaaa", "ab", "ba", "abab", "  ", "    ",
      "\n\n", "12", "123", "'s", "é", "陶", "\u{301}", "Kiln", "il", "iln", "KI", "()", "();",
    ]
    let lines = words.enumerated().map { line(Array($0.element.utf8), rank: 256 + $0.offset) }
    let names = #"{"added_tokens_decoder":{"282":{"content":"<|a|>"},"283":{"content":"<|a|>b"}}}"#
    return try Tokenizer(
      model: singleBytes + lines.joined(), modelFile: "sample.model",
      configuration: Array(names.utf8), configurationFile: "sample.json", vocabularySize: nil)
  }

  private static func line(_ token: [UInt8], rank: Int) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: token.count, by: 3) {
      let group = token[start..<min(start + 3, token.count)]
      let bits = (group + [0, 0]).prefix(3).reduce(0) { $0 << 8 | Int($1) }
      for index in 0...3 {
        text.append(
          index <= group.count ? alphabet[bits >> (18 - 6 * index) & 63] : UInt8(ascii: "="))
      }
    }
    return text + Array(" \(rank)\n".utf8)
  }
}

/// Checks that encoding a text and decoding its tokens gives it back.
///
/// - Throws: `TokenizerError` if it is not UTF-8.
package func checkRoundTrip(_ text: [UInt8], _ tokenizer: Tokenizer) throws {
  for allowSpecial in [false, true] {
    let ids = try tokenizer.encode(text, file: "text", allowSpecial: allowSpecial)
    require(ids.allSatisfy { (0..<tokenizer.vocabularySize).contains($0) }, "an id of no token")
    require(try tokenizer.decode(ids) == text, "decoding gives another text")
  }
}

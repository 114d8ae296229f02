// SPDX-License-Identifier: Apache-2.0

import Foundation
import Tokenization

/// Vocabularies for tests: the 256 bytes in their order and whatever else a test needs.
enum TinyVocabulary {
  /// Lines of a `tiktoken.model` with all bytes and some longer tokens, by ascending rank.
  static func lines(_ tokens: [String] = []) -> [String] {
    let bytes = (UInt8.min...UInt8.max).map { [$0] } + tokens.map { Array($0.utf8) }
    return bytes.enumerated().map { "\(Data($0.element).base64EncodedString()) \($0.offset)" }
  }

  /// A tokenizer from lines.
  static func tokenizer(
    _ lines: [String], lineEnd: String = "\n", configuration: String? = nil,
    vocabularySize: Int? = nil
  ) throws -> Tokenizer {
    try Tokenizer(
      model: Array(lines.map { $0 + lineEnd }.joined().utf8), modelFile: "tiktoken.model",
      configuration: configuration.map { Array($0.utf8) },
      configurationFile: "tokenizer_config.json", vocabularySize: vocabularySize)
  }
}

extension Tokenizer {
  /// The ids of a text.
  func encode(_ text: String, allowSpecial: Bool = false) throws -> [Int] {
    try encode(Array(text.utf8), file: "text", allowSpecial: allowSpecial)
  }
}

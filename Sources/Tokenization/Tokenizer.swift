// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// Translates text to token ids and back, exactly as `tiktoken` does with a Kimi vocabulary.
///
/// Ids below the number of ranks are ordinary tokens, the 256 ids behind them special ones, and tokens that were
/// added later follow those. A text
/// is cut into pieces by ``PreTokenizer``, and each piece is encoded by itself. Tokens are bytes and
/// need not be UTF-8: a character may be spread over two of them.
package struct Tokenizer: Sendable {
  private let vocabulary: Vocabulary
  private let specials: SpecialTokens

  /// Reads the files of a checkpoint.
  ///
  /// - Parameters:
  ///   - model: Content of `tiktoken.model`.
  ///   - modelFile: Its name, for errors.
  ///   - configuration: Content of `tokenizer_config.json`; nil if the checkpoint has none.
  ///   - configurationFile: Its name, for errors.
  ///   - vocabularySize: `vocab_size` of the model, which may be larger than the tokenizer's.
  /// - Throws: `TokenizerError` or `JSONError`.
  package init(
    model: [UInt8], modelFile: String, configuration: [UInt8]?, configurationFile: String,
    vocabularySize: Int?
  ) throws {
    vocabulary = try VocabularyReader.read(model, file: modelFile)
    specials = try SpecialTokens(
      configuration: configuration, file: configurationFile, vocabulary: vocabulary)
    if let vocabularySize, vocabularySize < self.vocabularySize {
      throw TokenizerError.vocabularyTooSmall(
        file: modelFile, idCount: self.vocabularySize, vocabularySize: vocabularySize)
    }
  }

  /// One more than the last id: ordinary tokens, special ones, and those that were added.
  package var vocabularySize: Int { specials.ids.upperBound }

  /// The ids of a text.
  ///
  /// - Parameters:
  ///   - text: UTF-8. It may be as long as memory allows.
  ///   - file: Where it is from, for errors.
  ///   - allowSpecial: Whether the names of special tokens become those; otherwise they are text
  ///     like any other, and no special id ever comes out.
  /// - Returns: The ids, in the order of the text.
  /// - Throws: `TokenizerError` if the text is not UTF-8.
  /// - Complexity: O(*n* log *n*) whatever the text.
  package func encode(
    _ text: [UInt8], file: String, allowSpecial: Bool = false
  ) throws(TokenizerError) -> [Int] {
    do {
      _ = try UTF8Span(validating: text.span)
    } catch {
      let offset = error.byteOffsets.lowerBound
      throw .invalidUTF8(file: file, offset: offset, byte: text[offset])
    }
    let bytes = text.rawBytes
    var encoder = BytePairEncoder(vocabulary)
    var ids: [Int] = []
    var start = 0
    while allowSpecial, let special = specials.next(in: bytes, from: start) {
      encode(bytes.extracting(start..<special.range.lowerBound), with: &encoder, into: &ids)
      ids.append(special.id)
      start = special.range.upperBound
    }
    encode(bytes.extracting(start..<text.count), with: &encoder, into: &ids)
    return ids
  }

  private func encode(
    _ text: RawSpan, with encoder: inout BytePairEncoder, into ids: inout [Int]
  ) {
    var start = 0
    while start < text.byteCount {
      let end = PreTokenizer.pieceEnd(in: text, from: start)
      encoder.encode(text.extracting(start..<end), into: &ids)
      start = end
    }
  }

  /// The bytes that ids stand for, one after another; a special token stands for its name.
  ///
  /// - Throws: `TokenizerError` if there is no such id.
  package func decode(_ ids: [Int]) throws(TokenizerError) -> [UInt8] {
    var bytes: [UInt8] = []
    for id in ids {
      if (0..<vocabulary.count).contains(id) {
        bytes.append(contentsOf: vocabulary.token(rank: id))
      } else if let name = specials.name(of: id) {
        bytes.append(contentsOf: name.utf8)
      } else {
        throw .unknownID(id, known: 0...vocabularySize - 1)
      }
    }
    return bytes
  }

  /// Whether there is a token of that id.
  package func hasToken(_ id: Int) -> Bool {
    (0..<vocabulary.count).contains(id) || specials.name(of: id) != nil
  }

  /// The id of a special token; nil if none has that name.
  package func id(ofSpecial name: String) -> Int? {
    specials.id(of: name)
  }

  /// The name of a special token; nil if the id is not one.
  package func name(ofSpecial id: Int) -> String? {
    specials.name(of: id)
  }
}

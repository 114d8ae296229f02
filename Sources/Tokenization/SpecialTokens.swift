// SPDX-License-Identifier: Apache-2.0

import JSON
import TensorCore

/// The 256 ids behind the ordinary tokens: marks for the beginning of a text, for turns of a
/// conversation and the like.
///
/// `tokenizer_config.json` names some of them in `added_tokens_decoder`; the others are called
/// `<|reserved_token_ID|>`.
struct SpecialTokens: Sendable {
  /// How many there are.
  static let count = 256

  /// The ids.
  let ids: Range<Int>
  /// The name of each, in the order of the ids.
  let names: [String]
  /// Offsets into `names` by the first byte of the name, longest name first.
  private let byFirstByte: [[Int]]

  /// Reads the names.
  ///
  /// - Parameters:
  ///   - configuration: `tokenizer_config.json`; nil if there is none.
  ///   - file: Its name, for errors.
  ///   - vocabulary: The ordinary tokens; the first id is their count.
  /// - Throws: `JSONError`, or `TokenizerError` if a key is not one of the ids or two names are
  ///   the same.
  init(configuration: [UInt8]?, file: String, vocabulary: Vocabulary) throws {
    ids = vocabulary.count..<vocabulary.count + Self.count
    var names = ids.map { "<|reserved_token_\($0)|>" }
    if let configuration {
      let root = JSONField(file: file, root: try JSONValue(parsing: configuration, file: file))
      _ = try root.object()
      for (key, field) in try root["added_tokens_decoder"].ifPresent?.object() ?? [] {
        let name = try field["content"].string()
        guard let id = Self.id(key.text) else { throw Self.notSpecial(key, ids, file: file) }
        if id < ids.lowerBound {
          // Some tools list ordinary tokens too. Harmless if they say what is so anyway.
          guard vocabulary.token(rank: id).elementsEqual(name.utf8) else {
            throw Self.notSpecial(key, ids, file: file)
          }
          continue
        }
        guard ids.contains(id) else { throw Self.notSpecial(key, ids, file: file) }
        guard !name.isEmpty else { throw TokenizerError.emptySpecialToken(file: file, id: id) }
        names[id - ids.lowerBound] = name
      }
    }
    self.names = names
    byFirstByte = try Self.index(names, firstID: ids.lowerBound, file: file)
  }

  /// The name of a special token; nil if the id is not one.
  func name(of id: Int) -> String? {
    ids.contains(id) ? names[id - ids.lowerBound] : nil
  }

  /// The leftmost name in a text at or after `start`; where two begin there, the longer one.
  func next(in text: RawSpan, from start: Int) -> (range: Range<Int>, id: Int)? {
    for offset in start..<max(start, text.byteCount) {
      for index in byFirstByte[Int(text.byte(at: offset))] {
        let name = names[index].utf8
        guard name.count <= text.byteCount - offset else { continue }
        if name.enumerated().allSatisfy({ text.byte(at: offset + $0.offset) == $0.element }) {
          return (offset..<offset + name.count, ids.lowerBound + index)
        }
      }
    }
    return nil
  }

  /// Reads a key: decimal digits without leading zeros, so that one id has one spelling.
  private static func id(_ key: String) -> Int? {
    guard let id = Int(key), id >= 0, ExactString(String(id)) == ExactString(key) else {
      return nil
    }
    return id
  }

  private static func notSpecial(
    _ key: ExactString, _ ids: Range<Int>, file: String
  ) -> TokenizerError {
    .notASpecialToken(file: file, key: key.text, expected: ids.lowerBound...ids.upperBound - 1)
  }

  private static func index(
    _ names: [String], firstID: Int, file: String
  ) throws(TokenizerError) -> [[Int]] {
    var indexOfName: [ExactString: Int] = [:]
    var byFirstByte = [[Int]](repeating: [], count: 256)
    for (index, name) in names.enumerated() {
      if let first = indexOfName.updateValue(index, forKey: ExactString(name)) {
        throw .duplicateSpecialToken(
          file: file, name: name, id: firstID + index, firstID: firstID + first)
      }
      if let byte = name.utf8.first { byFirstByte[Int(byte)].append(index) }
    }
    return byFirstByte.map { indices in
      indices.sorted { names[$0].utf8.count > names[$1].utf8.count }
    }
  }
}

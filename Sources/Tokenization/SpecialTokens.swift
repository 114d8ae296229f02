// SPDX-License-Identifier: Apache-2.0

import JSON
import TensorCore

/// The 256 ids behind the ordinary tokens: marks for the beginning of a text, for turns of a
/// conversation and the like; and tokens that were added behind those.
///
/// `tokenizer_config.json` names them in `added_tokens_decoder`; of the 256, the others are called
/// `<|reserved_token_ID|>`. Added ids may leave gaps, which stand for nothing.
struct SpecialTokens: Sendable {
  /// How many are reserved.
  static let count = 256

  /// The ids: the reserved ones, and all up to the last that was added.
  let ids: Range<Int>
  /// The reserved ids.
  private let reserved: Range<Int>
  /// The name of each reserved id, in the order of the ids.
  private let names: [String]
  /// The names of ids that were added behind them.
  private let added: [Int: String]
  /// The names as bytes, in the order of the bytes.
  private let sorted: [Entry]
  /// Whether a name begins with this byte.
  private let canBegin: [Bool]

  private struct Entry {
    let name: [UInt8]
    let id: Int
  }

  /// Reads the names.
  ///
  /// - Parameters:
  ///   - configuration: `tokenizer_config.json`; nil if there is none.
  ///   - file: Its name, for errors.
  ///   - vocabulary: The ordinary tokens; the first id is their count.
  /// - Throws: `JSONError`, or `TokenizerError` if a key is not one of the ids or two names are
  ///   the same.
  init(configuration: [UInt8]?, file: String, vocabulary: Vocabulary) throws {
    let reserved = vocabulary.count..<vocabulary.count + Self.count
    let possible = reserved.lowerBound..<VocabularyReader.rankLimit + Self.count
    var added: [Int: String] = [:]
    var names = reserved.map { "<|reserved_token_\($0)|>" }
    if let configuration {
      let root = JSONField(file: file, root: try JSONValue(parsing: configuration, file: file))
      _ = try root.object()
      for (key, field) in try root["added_tokens_decoder"].ifPresent?.object() ?? [] {
        let name = try field["content"].string()
        guard let id = Self.id(key.text), id < possible.upperBound else {
          throw Self.notSpecial(key, possible, file: file)
        }
        if id < reserved.lowerBound {
          // Some tools list ordinary tokens too. Harmless if they say what is so anyway.
          guard vocabulary.token(rank: id).elementsEqual(name.utf8) else {
            throw Self.notSpecial(key, possible, file: file)
          }
          continue
        }
        guard !name.isEmpty else { throw TokenizerError.emptySpecialToken(file: file, id: id) }
        if reserved.contains(id) {
          names[id - reserved.lowerBound] = name
        } else {
          added[id] = name
        }
      }
    }
    self.reserved = reserved
    self.names = names
    self.added = added
    ids = reserved.lowerBound..<max(reserved.upperBound, (added.keys.max() ?? 0) + 1)
    sorted = try Self.sort(
      zip(reserved, names).map { (id: $0, name: $1) }
        + added.sorted { $0.key < $1.key }.map { (id: $0.key, name: $0.value) },
      file: file)
    var canBegin = [Bool](repeating: false, count: 256)
    for entry in sorted { if let first = entry.name.first { canBegin[Int(first)] = true } }
    self.canBegin = canBegin
  }

  /// The name of a special token; nil if the id is not one.
  func name(of id: Int) -> String? {
    reserved.contains(id) ? names[id - reserved.lowerBound] : added[id]
  }

  /// The id of a name; nil if no token has it.
  func id(of name: String) -> Int? {
    let name = Array(name.utf8)
    return sorted.first { $0.name == name }?.id
  }

  /// The leftmost name in a text at or after `start`; where two begin there, the longer one.
  func next(in text: RawSpan, from start: Int) -> (range: Range<Int>, id: Int)? {
    for offset in start..<max(start, text.byteCount) where canBegin[Int(text.byte(at: offset))] {
      if let entry = longest(in: text, at: offset) {
        return (offset..<offset + entry.name.count, entry.id)
      }
    }
    return nil
  }

  /// The longest name that stands at `offset`.
  ///
  /// `candidates` are the names that agree with the text in the first `length` bytes. They are
  /// neighbours, and one that has no more bytes is the first of them.
  private func longest(in text: RawSpan, at offset: Int) -> Entry? {
    var candidates = sorted[...]
    var longest: Entry?
    for length in 0...text.byteCount - offset {
      if let first = candidates.first, first.name.count == length {
        longest = first
        candidates.removeFirst()
      }
      guard !candidates.isEmpty, offset + length < text.byteCount else { break }
      let byte = text.byte(at: offset + length)
      candidates = candidates[candidates.boundary { $0.name[length] >= byte }...]
      candidates = candidates[..<candidates.boundary { $0.name[length] > byte }]
    }
    return longest
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

  private static func sort(
    _ names: [(id: Int, name: String)], file: String
  ) throws(TokenizerError) -> [Entry] {
    // In the order of the ids most names are sorted already.
    let sorted = names.map { Entry(name: Array($0.name.utf8), id: $0.id) }.sorted {
      // Of names that are the same, the first id stands first.
      $0.name == $1.name ? $0.id < $1.id : $0.name.lexicographicallyPrecedes($1.name)
    }
    let duplicates = zip(sorted, sorted.dropFirst()).filter { $0.name == $1.name }
    if let (first, second) = duplicates.min(by: { $0.1.id < $1.1.id }) {
      throw .duplicateSpecialToken(
        file: file, name: String(decoding: second.name, as: UTF8.self), id: second.id,
        firstID: first.id)
    }
    return sorted
  }
}

extension ArraySlice {
  /// The first index whose element satisfies a predicate that all elements after it satisfy too.
  fileprivate func boundary(where predicate: (Element) -> Bool) -> Int {
    var low = startIndex
    var high = endIndex
    while low < high {
      let middle = low + (high - low) / 2
      if predicate(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

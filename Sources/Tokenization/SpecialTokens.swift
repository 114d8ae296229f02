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
    sorted = try Self.sort(names, firstID: ids.lowerBound, file: file)
    var canBegin = [Bool](repeating: false, count: 256)
    for entry in sorted { if let first = entry.name.first { canBegin[Int(first)] = true } }
    self.canBegin = canBegin
  }

  /// The name of a special token; nil if the id is not one.
  func name(of id: Int) -> String? {
    ids.contains(id) ? names[id - ids.lowerBound] : nil
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
    _ names: [String], firstID: Int, file: String
  ) throws(TokenizerError) -> [Entry] {
    // In the order of the ids most names are sorted already.
    let sorted = zip(firstID..., names).map { Entry(name: Array($1.utf8), id: $0) }.sorted {
      // Of names that are the same, the first id stands first.
      $0.name == $1.name ? $0.id < $1.id : $0.name.lexicographicallyPrecedes($1.name)
    }
    let duplicates = zip(sorted, sorted.dropFirst()).filter { $0.name == $1.name }
    if let (first, second) = duplicates.min(by: { $0.1.id < $1.1.id }) {
      throw .duplicateSpecialToken(
        file: file, name: names[second.id - firstID], id: second.id, firstID: first.id)
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

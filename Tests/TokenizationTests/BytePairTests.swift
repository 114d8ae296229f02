// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import Tokenization

struct BytePairTests {
  /// The definition, word for word and slow.
  private func merge(_ piece: String, ranks: [String: Int]) -> [Int] {
    if let rank = ranks[piece] { return [rank] }
    var parts = piece.map { String($0) }
    while true {
      let pairs = zip(parts, parts.dropFirst()).enumerated().compactMap { index, pair in
        ranks[pair.0 + pair.1].map { (rank: $0, index: index) }
      }
      guard let best = pairs.min(by: { ($0.rank, $0.index) < ($1.rank, $1.index) }) else { break }
      parts[best.index] += parts.remove(at: best.index + 1)
    }
    return parts.compactMap { ranks[$0] }
  }

  @Test func mergesAreThoseOfTheDefinition() throws {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(seed: seed)
    for alphabet in ["a", "ab", "abcde"] {
      var ranks = Dictionary(
        uniqueKeysWithValues: (0..<128).map { (String(Unicode.Scalar(UInt8($0))), $0) })
      var tokens: [String] = []
      for _ in 0..<200 {
        let token = random(alphabet, 2...6, &generator)
        if ranks.updateValue(256 + tokens.count, forKey: token) == nil {
          tokens.append(token)
        } else {
          ranks[token] = tokens.firstIndex(of: token).map { 256 + $0 }
        }
      }
      let tokenizer = try TinyVocabulary.tokenizer(TinyVocabulary.lines(tokens))
      for _ in 0..<400 {
        let piece = random(alphabet, 1...90, &generator)
        let ids = try tokenizer.encode(piece)
        #expect(ids == merge(piece, ranks: ranks), "seed \(seed): \(piece)")
      }
    }
  }

  private func random(
    _ alphabet: String, _ length: ClosedRange<Int>, _ generator: inout SeededGenerator
  ) -> String {
    let count = Int.random(in: length, using: &generator)
    return String((0..<count).compactMap { _ in alphabet.randomElement(using: &generator) })
  }

  @Test func equalMergesGoFromTheLeft() throws {
    let tokenizer = try TinyVocabulary.tokenizer(TinyVocabulary.lines(["aa"]))
    #expect(try tokenizer.encode("aaaaa") == [256, 256, 97])
    let long = String(repeating: "a", count: 1001)
    #expect(try tokenizer.encode(long) == [Int](repeating: 256, count: 500) + [97])
  }

  @Test func aPieceThatIsATokenNeedsNoMerges() throws {
    // No two parts of it are tokens together, so merging would never get there.
    let tokenizer = try TinyVocabulary.tokenizer(TinyVocabulary.lines(["abc"]))
    #expect(try tokenizer.encode("abc") == [256])
    #expect(try tokenizer.encode("abcd") == [97, 98, 99, 100])
  }

  /// A quadratic algorithm would need hours for these.
  @Test(
    arguments: ["a", "ab", "aab", " ", "\n", "-", "汉", "A", "ªA", "\u{301}A"])
  func oneMillionBytesWithoutACut(unit: String) throws {
    let tokenizer = try TinyVocabulary.tokenizer(
      TinyVocabulary.lines(["aa", "aaaa", "ab", "ba", "abab", "  ", "    ", "--", "----", "AA"]))
    let text = Array(String(repeating: unit, count: 1_000_000 / unit.utf8.count).utf8)
    let ids = try withDeadline { try tokenizer.encode(text, file: "text") }
    #expect(try tokenizer.decode(ids) == text)
  }
}

// SPDX-License-Identifier: Apache-2.0

import HeapModule

/// Byte-level byte pair encoding of one piece after another.
///
/// Beginning with single bytes, the two neighbours whose concatenation is the token of lowest rank
/// are merged, the leftmost ones where several concatenations are equal, until no two neighbours
/// make a token. A piece that is a token becomes that token at once, even if merging would not
/// arrive there.
struct BytePairEncoder {
  /// Up to this many bytes, searching the whole piece for the lowest rank beats a queue.
  private static let shortPiece = 32
  /// The rank of a concatenation that is no token.
  private static let noRank = Int.max

  private let vocabulary: Vocabulary
  /// Parts of a short piece; kept between pieces, so that they need no allocation.
  private var parts: [Part] = []

  /// A part of a short piece: where it begins, and the rank of it and its successor together.
  private struct Part {
    let start: Int
    var rank: Int
  }

  /// An encoder for a vocabulary that has all single bytes.
  init(_ vocabulary: Vocabulary) {
    self.vocabulary = vocabulary
  }

  /// Appends the tokens of a piece that is not empty.
  ///
  /// - Complexity: O(*n* log *n*) in the number of bytes, times the length of the longest token.
  mutating func encode(_ piece: RawSpan, into ids: inout [Int]) {
    if let rank = vocabulary.rank(of: piece) {
      ids.append(rank)
    } else if piece.byteCount <= Self.shortPiece {
      encodeShort(piece, into: &ids)
    } else {
      encodeLong(piece, into: &ids)
    }
  }

  private func rank(_ piece: RawSpan, _ range: Range<Int>) -> Int {
    vocabulary.rank(of: piece.extracting(range)) ?? Self.noRank
  }

  private mutating func encodeShort(_ piece: RawSpan, into ids: inout [Int]) {
    let count = piece.byteCount
    parts.removeAll(keepingCapacity: true)
    for start in 0..<count {
      let rank = start + 2 <= count ? rank(piece, start..<start + 2) : Self.noRank
      parts.append(Part(start: start, rank: rank))
    }
    // Two ends that are no parts: a part's successor and the one after it always have a start.
    parts.append(Part(start: count, rank: Self.noRank))
    parts.append(Part(start: count, rank: Self.noRank))
    while true {
      var lowest = Self.noRank
      var index = 0
      for candidate in parts.indices where parts[candidate].rank < lowest {
        lowest = parts[candidate].rank
        index = candidate
      }
      guard lowest != Self.noRank else { break }
      parts.remove(at: index + 1)
      updateRank(of: index, in: piece)
      if index > 0 { updateRank(of: index - 1, in: piece) }
    }
    for index in 0..<parts.count - 2 {
      append(piece, parts[index].start..<parts[index + 1].start, into: &ids)
    }
  }

  private mutating func updateRank(of index: Int, in piece: RawSpan) {
    let end = parts[index + 2].start
    // The last part has no successor.
    parts[index].rank =
      parts[index + 1].start == end ? Self.noRank : rank(piece, parts[index].start..<end)
  }

  /// Encodes with a linked list of parts and a queue of merges.
  ///
  /// Merges that became impossible stay in the queue. They are known by their rank: it belongs to
  /// one token, hence to one length, so if the part that begins there still has that rank with its
  /// successor, the merge is still the same one.
  private func encodeLong(_ piece: RawSpan, into ids: inout [Int]) {
    let count = piece.byteCount
    // A part is known by the offset of its first byte; `count` stands for the end.
    var next = Array(1...count)
    var previous = Array(-1..<count - 1)
    var ranks = (0..<count).map { $0 + 2 <= count ? rank(piece, $0..<$0 + 2) : Self.noRank }
    var queue = Heap(
      ranks.enumerated().lazy.filter { $0.element != Self.noRank }.map {
        Merge(rank: $0.element, start: $0.offset)
      })
    while let merge = queue.popMin() {
      guard ranks[merge.start] == merge.rank else { continue }
      let merged = next[merge.start]
      let successor = next[merged]
      next[merge.start] = successor
      ranks[merged] = Self.noRank
      if successor < count { previous[successor] = merge.start }
      for start in [previous[merge.start], merge.start] where start >= 0 {
        let second = next[start]
        let rank = second < count ? rank(piece, start..<next[second]) : Self.noRank
        ranks[start] = rank
        if rank != Self.noRank { queue.insert(Merge(rank: rank, start: start)) }
      }
    }
    var start = 0
    while start < count {
      append(piece, start..<next[start], into: &ids)
      start = next[start]
    }
  }

  /// A merge in the queue: lowest rank first, then leftmost.
  private struct Merge: Comparable {
    private let key: UInt64

    init(rank: Int, start: Int) {
      // Ranks have 24 bits; no text in memory is longer than 2^40 bytes.
      key = UInt64(truncatingIfNeeded: rank) << 40 | UInt64(truncatingIfNeeded: start)
    }

    var rank: Int { Int(truncatingIfNeeded: key >> 40) }
    var start: Int { Int(truncatingIfNeeded: key & (1 << 40 - 1)) }

    static func < (left: Merge, right: Merge) -> Bool { left.key < right.key }
  }

  /// Appends a part, which is a single byte or came from a merge and is a token either way.
  private func append(_ piece: RawSpan, _ range: Range<Int>, into ids: inout [Int]) {
    if let rank = vocabulary.rank(of: piece.extracting(range)) { ids.append(rank) }
  }
}

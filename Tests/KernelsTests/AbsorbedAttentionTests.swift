// SPDX-License-Identifier: Apache-2.0

import Foundation
import Kernels
import TensorCore
import TestSupport
import Testing

/// Attention of one token over cached latents.
@Suite struct AbsorbedAttentionTests {
  /// Softmax over all rows in double precision.
  private func reference(
    _ attention: AbsorbedAttention, query: Span<Float>, cache: SharedFloats, tokens: Int
  ) -> [Double] {
    let rows = (0..<tokens).map { row in
      (0..<attention.width).map { Double(cache[row * attention.width + $0]) }
    }
    let scores = rows.map { row in
      row.indices.reduce(0) { $0 + row[$1] * Double(query[$1]) }
    }
    let largest = scores.max() ?? 0
    let weights = scores.map { exp($0 - largest) }
    let sum = weights.reduce(0, +)
    return (0..<attention.rank).map { column in
      zip(weights, rows).reduce(0) { $0 + $1.0 * $1.1[column] } / sum
    }
  }

  private func result(
    _ attention: AbsorbedAttention, queries: Span<Float>, cache: SharedFloats, tokens: Int,
    on set: InstructionSet
  ) -> [[Float]] {
    let segments = attention.segments(tokens: tokens).count
    var partials = [Float](repeating: .nan, count: segments * attention.partialCount)
    var workspace = [Float](repeating: .nan, count: attention.workspaceCount)
    for segment in 0..<segments {
      var all = partials.mutableSpan
      var part = all._mutatingExtracting(
        segment * attention.partialCount..<(segment + 1) * attention.partialCount)
      var scratch = workspace.mutableSpan
      attention.attend(
        segment: segment, tokens: tokens, queries: queries, cache: cache, into: &part,
        workspace: &scratch, on: set)
    }
    return (0..<attention.heads).map { head in
      var output = [Float](repeating: .nan, count: attention.rank)
      var span = output.mutableSpan
      attention.merge(head: head, partials: partials.span, segments: segments, into: &span)
      return output
    }
  }

  @Test(arguments: [(4, 64, 16), (3, 40, 8), (5, 19, 3), (8, 32, 0), (1, 256, 64)])
  func `agrees with a softmax over all rows`(heads: Int, rank: Int, rope: Int) throws {
    var generator = SeededGenerator(seed: 61)
    let attention = AbsorbedAttention(heads: heads, rank: rank, ropeDimension: rope)
    // The last has segments of more than two blocks, whose scores take turns in memory.
    for tokens in [1, 2, 15, 16, 17, 128, 129, 700, 5000] {
      let rows = AbsorbedAttention.rowCount(forTokens: tokens)
      let cache = try #require(SharedFloats(count: rows * attention.width))
      for row in 0..<rows {
        let start = row * attention.width
        // What is behind the last token is finite and must not count.
        cache.withMutable(start..<start + rank + rope) { span in
          let numbers = generator.floats(rank + rope, in: row < tokens ? -1...1 : 50...100)
          span.copy(from: numbers.span)
        }
      }
      let queries = try #require(SharedFloats(count: attention.queryCount))
      for head in 0..<heads {
        let start = head * attention.width
        queries.withMutable(start..<start + rank + rope) { span in
          span.copy(from: generator.floats(rank + rope, in: -1...1).span)
        }
      }
      var fused: [[Float]]?
      for set in InstructionSet.available {
        let outputs = result(
          attention, queries: queries.span(0..<attention.queryCount), cache: cache, tokens: tokens,
          on: set)
        for (head, output) in outputs.enumerated() {
          let start = head * attention.width
          let expected = reference(
            attention, query: queries.span(start..<start + attention.width), cache: cache,
            tokens: tokens)
          let worst = zip(output, expected).reduce(0.0) { max($0, abs(Double($1.0) - $1.1)) }
          #expect(worst < 3e-6, "\(tokens) tokens, head \(head), \(set)")
        }
        if set != .portable {
          #expect(fused == nil || fused == outputs)
          fused = outputs
        }
      }
    }
  }

  @Test func `scores far apart neither overflow nor vanish`() throws {
    let attention = AbsorbedAttention(heads: 1, rank: 16, ropeDimension: 0)
    let tokens = 300
    let cache = try #require(SharedFloats(count: 304 * 16))
    for row in 0..<tokens { cache[row * 16] = row == 200 ? 1000 : -1000 }
    let queries = try #require(SharedFloats(count: attention.queryCount))
    queries[0] = 100
    for set in InstructionSet.available {
      let output = result(
        attention, queries: queries.span(0..<attention.queryCount), cache: cache, tokens: tokens,
        on: set)[0]
      #expect(output[0] == 1000 && output[1...].allSatisfy { $0 == 0 })
    }
  }

  @Test func `segments cover every row once`() {
    for heads in [1, 4, 32] {
      let attention = AbsorbedAttention(heads: heads, rank: 64, ropeDimension: 16)
      for tokens in [0, 1, 31, 32, 33, 127, 128, 129, 5000, 8192, 8193, 100_000, 1 << 20] {
        let (count, length) = attention.segments(tokens: tokens)
        #expect(count <= AbsorbedAttention.maximumSegmentCount)
        #expect(count * length >= tokens && (count == 0 || (count - 1) * length < tokens))
      }
    }
  }
}

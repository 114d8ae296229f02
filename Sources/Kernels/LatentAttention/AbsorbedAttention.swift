// SPDX-License-Identifier: Apache-2.0

internal import CKernels

/// Absorbed latent attention of one token over a long cache, for decoding.
///
/// `LatentAttention` has the equations. The cache is read once for all heads: a block of 16 rows gives
/// the scores of every head and is then added to every head's sum while it is in the cache of the
/// processor. A long cache is cut into segments, each with a softmax of its own, which are merged in
/// their order; how it is cut follows from its length and the number of heads.
package struct AbsorbedAttention: Sendable {
  /// Number of heads.
  package let heads: Int
  /// Length of a latent.
  package let rank: Int
  /// Floats of a row of the cache: latent, shared key, and zeros up to a multiple of 16.
  package let width: Int

  /// Most segments; enough for any number of threads to share them fairly.
  package static let maximumSegmentCount = 64
  /// Rows that a segment has at least, before there is a second one.
  ///
  /// What it leaves to be merged, a latent for each head, is to be little beside the rows that it reads.
  private var fewestRows: Int { max(32, 4 * computedHeads) }
  /// Rows that are worked on at a time.
  private static let block = Int(KILN_LATENT_BLOCK)

  /// - Parameters:
  ///   - heads: Number of heads.
  ///   - rank: Length of a latent.
  ///   - ropeDimension: Length of the shared key.
  package init(heads: Int, rank: Int, ropeDimension: Int) {
    self.heads = heads
    self.rank = rank
    width = Self.roundUp(rank + ropeDimension, to: 16)
  }

  private static func roundUp(_ count: Int, to multiple: Int) -> Int {
    (count + multiple - 1) / multiple * multiple
  }

  /// Heads that are computed: the C kernel takes four at a time.
  private var computedHeads: Int { Self.roundUp(heads, to: 4) }
  private var computedRank: Int { Self.roundUp(rank, to: 16) }

  /// Floats of the queries of all heads.
  package var queryCount: Int { computedHeads * width }
  /// Floats that a segment gives: maxima, sums, and weighted sums.
  package var partialCount: Int { computedHeads * (2 + computedRank) }
  /// Floats of scratch memory for a segment.
  package var workspaceCount: Int { kiln_latent_workspace(computedHeads) }
  /// Rows that memory for so many tokens needs: blocks are read whole.
  package static func rowCount(forTokens tokens: Int) -> Int { roundUp(tokens, to: block) }

  /// The rows of each segment of a cache.
  package func segments(tokens: Int) -> (count: Int, length: Int) {
    let wanted = min(max((tokens + fewestRows - 1) / fewestRows, 1), Self.maximumSegmentCount)
    let length = Self.roundUp((tokens + wanted - 1) / wanted, to: Self.block)
    return (length == 0 ? 0 : (tokens + length - 1) / length, length)
  }

  /// Attends over the rows of one segment.
  ///
  /// - Parameters:
  ///   - segment: Its number.
  ///   - tokens: Rows of the cache that count.
  ///   - queries: `[heads, width]`, absorbed and times the scale of scores; zeros behind them.
  ///   - cache: `[rowCount(forTokens: tokens), width]` at least; rows behind `tokens` are finite.
  ///   - partial: Receives `partialCount` floats.
  ///   - workspace: `workspaceCount` floats.
  ///   - instructions: Which C kernels run.
  package func attend(
    segment: Int, tokens: Int, queries: Span<Float>, cache: SharedFloats,
    into partial: inout MutableSpan<Float>, workspace: inout MutableSpan<Float>,
    on instructions: InstructionSet = .best
  ) {
    let length = segments(tokens: tokens).length
    let rows = segment * length..<min((segment + 1) * length, tokens)
    precondition(
      queries.count == queryCount && partial.count == partialCount
        && workspace.count >= workspaceCount, "memory of another size")
    let readable = cache.span(
      rows.lowerBound * width..<Self.rowCount(forTokens: rows.upperBound) * width)
    let (heads, rank) = (computedHeads, computedRank)
    unsafe queries.withUnsafeBufferPointer { queries in
      unsafe readable.withUnsafeBufferPointer { cache in
        unsafe partial.withUnsafeMutableBufferPointer { partial in
          unsafe workspace.withUnsafeMutableBufferPointer { workspace in
            guard let base = partial.baseAddress else { return }
            var arguments = unsafe kiln_latent_segment(
              heads: heads, width: width, rank: rank, rows: rows.count,
              queries: queries.baseAddress, cache: cache.baseAddress, maxima: base,
              sums: base + heads, weighted: base + 2 * heads)
            unsafe kiln_latent_attend(
              instructions.code, &arguments, workspace.baseAddress)
          }
        }
      }
    }
  }

  /// The softmax-weighted sum of latents of one head, from all segments.
  ///
  /// - Parameters:
  ///   - head: The head.
  ///   - partials: What the segments gave, one after the other.
  ///   - segments: How many there are.
  ///   - output: Receives `[rank]`.
  package func merge(
    head: Int, partials: Span<Float>, segments: Int, into output: inout MutableSpan<Float>
  ) {
    precondition(output.count == rank, "a latent of another length")
    var maximum = -Float.infinity
    for segment in 0..<segments { maximum = max(maximum, partials[segment * partialCount + head]) }
    for index in 0..<rank { output[index] = 0 }
    var sum: Float = 0
    for segment in 0..<segments {
      let start = segment * partialCount
      let factor = exponential(partials[start + head] - maximum)
      sum += factor * partials[start + computedHeads + head]
      let weighted = start + 2 * computedHeads + head * computedRank
      add(partials.extracting(weighted..<weighted + rank), times: factor, to: &output)
    }
    scale(&output, by: 1 / sum)
  }
}

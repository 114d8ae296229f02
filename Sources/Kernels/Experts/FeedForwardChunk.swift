// SPDX-License-Identifier: Apache-2.0

internal import TensorCore

/// Some tokens of one member, which are worked on together: their inputs stay in the cache.
struct FeedForwardChunk: Sendable {
  /// Most tokens of a chunk.
  private static let mostTokens = 384

  /// Whose tokens they are.
  let member: FeedForwardMember
  /// Indices into the tokens of the member.
  let range: Range<Int>
  /// Where the hidden rows of the chunk are: strips `[width, R]`.
  let place: Range<Int>
  /// R: tokens of a strip.
  let stripHeight: Int

  /// How many strips the tokens take.
  var stripCount: Int { (range.count + stripHeight - 1) / stripHeight }

  /// The chunks of each member, whose hidden rows lie one behind the other.
  static func all(of members: [FeedForwardMember], stripHeight: Int) -> [[FeedForwardChunk]] {
    var chunks: [[FeedForwardChunk]] = []
    var end = 0
    for member in members {
      let count = member.tokens.count
      // Parts of about the same size, in whole strips.
      let parts = max((count + mostTokens - 1) / mostTokens, 1)
      let step = ((count + parts - 1) / parts + stripHeight - 1) / stripHeight * stripHeight
      var chunksOfMember: [FeedForwardChunk] = []
      for first in stride(from: 0, to: count, by: max(step, 1)) {
        let range = first..<min(first + step, count)
        let rows = (range.count + stripHeight - 1) / stripHeight * stripHeight
        let place = end..<end + rows * member.weights.width
        chunksOfMember.append(
          FeedForwardChunk(member: member, range: range, place: place, stripHeight: stripHeight))
        end = place.upperBound
      }
      chunks.append(chunksOfMember)
    }
    return chunks
  }

  /// Indices of the tokens in one strip.
  func range(ofStrip strip: Int) -> Range<Int> {
    let first = range.lowerBound + strip * stripHeight
    return first..<min(first + stripHeight, range.upperBound)
  }

  /// The tokens in one strip.
  func tokens(ofStrip strip: Int) -> ArraySlice<Int> {
    member.tokens[range(ofStrip: strip)]
  }

  /// Where the floats of one strip are among those of all strips, each `[length, R]`.
  func floats(ofStrip strip: Int, length: Int) -> Range<Int> {
    strip * length * stripHeight..<(strip + 1) * length * stripHeight
  }
}

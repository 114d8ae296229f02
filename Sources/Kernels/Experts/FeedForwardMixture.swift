// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// A gated layer and the tokens that go through it: an expert, the shared experts, a dense layer.
package struct FeedForwardMember: Sendable {
  /// Its matrices.
  package let weights: FeedForwardWeights
  /// Rows of the input, each at most once.
  package let tokens: [Int]
  /// What its output for each of them is multiplied with.
  package let factors: [Float]

  package init(weights: FeedForwardWeights, tokens: [Int], factors: [Float]) {
    precondition(tokens.count == factors.count, "a factor for each token")
    self.weights = weights
    self.tokens = tokens
    self.factors = factors
  }
}

/// A weighted sum of gated layers, each over tokens of its own, added to the residual stream.
///
///     Y[t] = Y[t] + sum over members m with token t of factor * down_m (SiLU(gate_m x_t) * up_m x_t)
///
/// First each member takes its tokens through gate and up, whose tiles meet in the first-level cache;
/// then each block of output columns takes all members through down. A block belongs to
/// one thread, which adds the members in their order: the sum does not depend on the threads.
package enum FeedForwardMixture {
  /// Output columns of an item of the second part: few, so that there are items for all threads.
  private static let outputsPerItem = 64

  /// Adds the outputs of all members.
  ///
  /// - Parameters:
  ///   - input: x `[N, d]`.
  ///   - members: What each token goes through; sums run in their order.
  ///   - output: Y `[N, d]`.
  ///   - workers: Threads. The result does not depend on their number.
  ///   - instructions: Which C kernels run.
  /// - Complexity: 6 d width floating-point operations for each token of each member.
  package static func add(
    _ input: Matrix, through members: [FeedForwardMember], to output: inout Matrix,
    workers: Workers, on instructions: InstructionSet = .best
  ) {
    precondition(output.rows == input.rows && output.columns == input.columns, "shapes differ")
    let chunks = FeedForwardChunk.all(of: members, stripHeight: instructions.stripHeight)
    let hiddenCount = chunks.joined().map(\.place.upperBound).max() ?? 0
    let hidden = Matrix(rows: 1, columns: hiddenCount) { hidden in
      let items = chunks.joined().flatMap(FeedForwardRaising.all).sorted { $0.cost > $1.cost }
      workers.forEach(items.count) { items[$0].run(input, into: hidden, on: instructions) }
    }
    let columns = input.columns
    output.withSharedRows { output in
      workers.forEach((columns + outputsPerItem - 1) / outputsPerItem) { item in
        let block = item * outputsPerItem..<min((item + 1) * outputsPerItem, columns)
        lower(hidden.rowSpan(0), chunks, columns: block, into: output, on: instructions)
      }
    }
  }

  /// Adds the outputs of all members in some columns.
  private static func lower(
    _ hidden: Span<Float>, _ chunks: [[FeedForwardChunk]], columns: Range<Int>,
    into output: SharedRows, on instructions: InstructionSet
  ) {
    var sum = Matrix(rows: output.rows, columns: columns.count)
    sum.withSharedRows { sum in
      withScratch(instructions.stripHeight * columns.count) { tile in
        for chunksOfMember in chunks {
          guard let weights = chunksOfMember.first?.member.weights else { continue }
          WeightProduct.withPanels(of: weights.down, rows: columns, on: instructions) { down in
            for chunk in chunksOfMember {
              lowerChunk(
                hidden.extracting(chunk.place), chunk, down, tile: &tile, into: sum,
                on: instructions)
            }
          }
        }
      }
    }
    for row in 0..<output.rows {
      output.withRow(row, columns: columns) { Kernels.add(sum.rowSpan(row), to: &$0) }
    }
  }

  /// Adds the outputs of the tokens of one chunk, times their factors.
  private static func lowerChunk(
    _ hidden: Span<Float>, _ chunk: FeedForwardChunk, _ down: Span<Float>,
    tile: inout MutableSpan<Float>, into sum: SharedRows, on instructions: InstructionSet
  ) {
    let (width, columns) = (chunk.member.weights.width, sum.columns)
    for strip in 0..<chunk.stripCount {
      let range = chunk.range(ofStrip: strip)
      let product = StripProduct(
        rows: range.count, columns: columns, inner: width,
        layout: .packed(inner: width, on: instructions), instructions: instructions)
      product(
        hidden.extracting(chunk.floats(ofStrip: strip, length: width)), down, into: &tile,
        stride: columns)
      addRows(
        tile.span, stride: columns, columns: columns,
        factors: chunk.member.factors.span.extracting(range), to: sum,
        rows: chunk.tokens(ofStrip: strip), column: 0, on: instructions)
    }
  }
}

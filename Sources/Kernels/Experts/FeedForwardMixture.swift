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
  /// Most tokens of a member that are worked on at a time; their inputs stay in the cache.
  private static let tokensPerItem = 384
  /// Most columns of gate and of up of an item: a dense layer is wider than an expert.
  private static let widthPerItem = 512
  /// Columns of gate and of up that are widened together.
  private static let widthPerBlock = 64
  /// Output columns of an item of the second part: few, so that there are items for all threads.
  private static let outputsPerItem = 64

  /// Some tokens of one member.
  private struct Chunk: Sendable {
    let member: Int
    /// Indices into the tokens of the member.
    let range: Range<Int>
    /// Where the hidden rows of the chunk are: strips `[width, R]`.
    let place: Range<Int>
  }

  /// An item of the first part: some columns of gate and up for the tokens of a chunk.
  private struct Raising: Sendable {
    let chunk: Chunk
    let columns: Range<Int>

    var cost: Int { chunk.range.count * columns.count }
  }

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
    let chunks = chunks(of: members, stripHeight: instructions.stripHeight)
    let hiddenCount = chunks.last?.place.upperBound ?? 0
    let hidden = Matrix(rows: 1, columns: hiddenCount) { hidden in
      let items = chunks.flatMap { chunk in
        let width = members[chunk.member].weights.width
        return stride(from: 0, to: width, by: widthPerItem).map {
          Raising(chunk: chunk, columns: $0..<min($0 + widthPerItem, width))
        }
      }
      let ordered = items.sorted { $0.cost > $1.cost }
      workers.forEach(ordered.count) { index in
        let item = ordered[index]
        raise(input, members[item.chunk.member], item, into: hidden, on: instructions)
      }
    }
    let columns = input.columns
    output.withSharedRows { output in
      workers.forEach((columns + outputsPerItem - 1) / outputsPerItem) { item in
        let block = item * outputsPerItem..<min((item + 1) * outputsPerItem, columns)
        lower(hidden, members, chunks, columns: block, into: output, on: instructions)
      }
    }
  }

  private static func chunks(of members: [FeedForwardMember], stripHeight: Int) -> [Chunk] {
    var chunks: [Chunk] = []
    var start = 0
    for (index, member) in members.enumerated() {
      let count = member.tokens.count
      // Parts of about the same size, in whole strips.
      let parts = max((count + tokensPerItem - 1) / tokensPerItem, 1)
      let step = ((count + parts - 1) / parts + stripHeight - 1) / stripHeight * stripHeight
      for first in stride(from: 0, to: count, by: max(step, 1)) {
        let range = first..<min(first + step, count)
        let strips = (range.count + stripHeight - 1) / stripHeight
        let end = start + strips * stripHeight * member.weights.width
        chunks.append(Chunk(member: index, range: range, place: start..<end))
        start = end
      }
    }
    return chunks
  }

  /// SiLU(gate x) * up x for some tokens and columns of a member, into strips `[width, R]`.
  private static func raise(
    _ input: Matrix, _ member: FeedForwardMember, _ item: Raising, into hidden: SharedRows,
    on instructions: InstructionSet
  ) {
    let chunk = item.chunk
    let (inner, width, height) = (input.columns, member.weights.width, instructions.stripHeight)
    let strips = (chunk.range.count + height - 1) / height
    withScratch(strips * inner * height) { gathered in
      for strip in 0..<strips {
        var place = gathered._mutatingExtracting(
          strip * inner * height..<(strip + 1) * inner * height)
        packStrip(
          of: input, rows: tokens(of: member, chunk, strip: strip, height: height), into: &place,
          on: instructions)
      }
      withScratch(height * widthPerBlock) { gated in
        withScratch(height * widthPerBlock) { raised in
          for first in stride(
            from: item.columns.lowerBound, to: item.columns.upperBound, by: widthPerBlock)
          {
            let block = first..<min(first + widthPerBlock, item.columns.upperBound)
            withGateAndUp(member.weights, block, on: instructions) { gate, up in
              for strip in 0..<strips {
                let source = gathered.span.extracting(
                  strip * inner * height..<(strip + 1) * inner * height)
                let product = StripProduct(
                  rows: tokens(of: member, chunk, strip: strip, height: height).count,
                  columns: block.count, inner: inner,
                  layout: .packed(inner: inner, on: instructions), instructions: instructions)
                product(source, gate, into: &gated, stride: block.count)
                product(source, up, into: &raised, stride: block.count)
                let size = product.rows * block.count
                var result = gated._mutatingExtracting(0..<size)
                siluMultiply(&result, by: raised.span.extracting(0..<size), on: instructions)
                let start = chunk.place.lowerBound + (strip * width + block.lowerBound) * height
                hidden.withRow(0, columns: start..<start + block.count * height) { place in
                  packStrip(
                    of: result.span, rows: product.rows, stride: block.count, inner: block.count,
                    into: &place, on: instructions)
                }
              }
            }
          }
        }
      }
    }
  }

  /// Lends some rows of gate and of up in panels.
  private static func withGateAndUp(
    _ weights: FeedForwardWeights, _ rows: Range<Int>, on instructions: InstructionSet,
    _ body: (_ gate: Span<Float>, _ up: Span<Float>) -> Void
  ) {
    WeightProduct.withPanels(of: weights.gate, rows: rows, on: instructions) { gate in
      WeightProduct.withPanels(of: weights.up, rows: rows, on: instructions) { up in
        body(gate, up)
      }
    }
  }

  /// Adds the outputs of all members in some columns.
  private static func lower(
    _ hidden: Matrix, _ members: [FeedForwardMember], _ chunks: [Chunk], columns: Range<Int>,
    into output: SharedRows, on instructions: InstructionSet
  ) {
    let height = instructions.stripHeight
    var sum = Matrix(rows: output.rows, columns: columns.count)
    sum.withSharedRows { sum in
      withScratch(height * columns.count) { tile in
        var next = 0
        for (index, member) in members.enumerated() {
          let first = next
          while next < chunks.count, chunks[next].member == index { next += 1 }
          WeightProduct.withPanels(of: member.weights.down, rows: columns, on: instructions) {
            down in
            for chunk in chunks[first..<next] {
              lowerChunk(
                hidden.rowSpan(0).extracting(chunk.place), member, chunk, down, height: height,
                tile: &tile, into: sum, on: instructions)
            }
          }
        }
      }
    }
    for row in 0..<output.rows {
      output.withRow(row, columns: columns) { Kernels.add(sum.rowSpan(row), to: &$0) }
    }
  }

  private static func lowerChunk(
    _ hidden: Span<Float>, _ member: FeedForwardMember, _ chunk: Chunk, _ down: Span<Float>,
    height: Int, tile: inout MutableSpan<Float>, into sum: SharedRows,
    on instructions: InstructionSet
  ) {
    let (width, columns) = (member.weights.width, sum.columns)
    for (strip, first) in stride(from: 0, to: chunk.range.count, by: height).enumerated() {
      let rows = tokens(of: member, chunk, strip: strip, height: height)
      let product = StripProduct(
        rows: rows.count, columns: columns, inner: width,
        layout: .packed(inner: width, on: instructions), instructions: instructions)
      product(
        hidden.extracting(strip * width * height..<(strip + 1) * width * height), down,
        into: &tile, stride: columns)
      let start = chunk.range.lowerBound + first
      addRows(
        tile.span, stride: columns, columns: columns,
        factors: member.factors.span.extracting(start..<start + rows.count), to: sum, rows: rows,
        column: 0, on: instructions)
    }
  }

  /// The tokens in one strip of a chunk.
  private static func tokens(
    of member: FeedForwardMember, _ chunk: Chunk, strip: Int, height: Int
  ) -> ArraySlice<Int> {
    let first = chunk.range.lowerBound + strip * height
    return member.tokens[first..<min(first + height, chunk.range.upperBound)]
  }
}

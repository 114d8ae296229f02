// SPDX-License-Identifier: Apache-2.0

internal import TensorCore

/// SiLU(gate x) * up x for some tokens and columns of a member: one thread's work in the first part of a mixture.
struct FeedForwardRaising: Sendable {
  /// Most columns of gate and of up: a dense layer is wider than an expert.
  private static let mostColumns = 512
  /// Columns of gate and of up that are widened together.
  private static let columnsPerBlock = 64

  /// The tokens.
  let chunk: FeedForwardChunk
  /// Rows of gate and of up.
  let columns: Range<Int>

  /// What it takes, in products of an input element.
  var cost: Int { chunk.range.count * columns.count }

  /// All columns of a chunk.
  static func all(of chunk: FeedForwardChunk) -> [FeedForwardRaising] {
    let width = chunk.member.weights.width
    return stride(from: 0, to: width, by: mostColumns).map {
      FeedForwardRaising(chunk: chunk, columns: $0..<min($0 + mostColumns, width))
    }
  }

  /// Computes the hidden rows, in strips `[width, R]`.
  ///
  /// - Parameters:
  ///   - input: x `[N, d]`, of all tokens.
  ///   - hidden: One row, in which the chunk has its place.
  ///   - instructions: Which C kernels run.
  func run(_ input: Matrix, into hidden: SharedRows, on instructions: InstructionSet) {
    withScratch(chunk.stripCount * input.columns * chunk.stripHeight) { gathered in
      for strip in 0..<chunk.stripCount {
        var place = gathered._mutatingExtracting(
          chunk.floats(ofStrip: strip, length: input.columns))
        packStrip(of: input, rows: chunk.tokens(ofStrip: strip), into: &place, on: instructions)
      }
      withTiles(chunk.stripHeight * min(columns.count, Self.columnsPerBlock)) { gated, raised in
        for first in stride(
          from: columns.lowerBound, to: columns.upperBound, by: Self.columnsPerBlock)
        {
          let block = first..<min(first + Self.columnsPerBlock, columns.upperBound)
          raise(
            gathered.span, inner: input.columns, block, &gated, &raised, into: hidden,
            on: instructions)
        }
      }
    }
  }

  /// Lends memory for two tiles.
  private func withTiles(
    _ size: Int,
    _ body: (_ gated: inout MutableSpan<Float>, _ raised: inout MutableSpan<Float>) -> Void
  ) {
    withScratch(size) { gated in withScratch(size) { raised in body(&gated, &raised) } }
  }

  /// Some columns of all tokens, whose weights are widened for all of them.
  private func raise(
    _ gathered: Span<Float>, inner: Int, _ block: Range<Int>, _ gated: inout MutableSpan<Float>,
    _ raised: inout MutableSpan<Float>, into hidden: SharedRows, on instructions: InstructionSet
  ) {
    let weights = chunk.member.weights
    WeightProduct.withPanels(of: weights.gate, rows: block, on: instructions) { gate in
      WeightProduct.withPanels(of: weights.up, rows: block, on: instructions) { up in
        for strip in 0..<chunk.stripCount {
          let product = StripProduct(
            rows: chunk.range(ofStrip: strip).count, columns: block.count, inner: inner,
            layout: .packed(inner: inner, on: instructions), instructions: instructions)
          let inputs = gathered.extracting(chunk.floats(ofStrip: strip, length: inner))
          product(inputs, gate, into: &gated, stride: block.count)
          product(inputs, up, into: &raised, stride: block.count)
          let size = product.rows * block.count
          var result = gated._mutatingExtracting(0..<size)
          siluMultiply(&result, by: raised.span.extracting(0..<size), on: instructions)
          pack(result.span, rows: product.rows, strip, block, into: hidden, on: instructions)
        }
      }
    }
  }

  /// Puts a tile, which is in the first-level cache, where its columns are in a strip of hidden rows.
  private func pack(
    _ tile: Span<Float>, rows: Int, _ strip: Int, _ block: Range<Int>, into hidden: SharedRows,
    on instructions: InstructionSet
  ) {
    let floats = chunk.floats(ofStrip: strip, length: chunk.member.weights.width)
    let start =
      chunk.place.lowerBound + floats.lowerBound + block.lowerBound * chunk.stripHeight
    hidden.withRow(0, columns: start..<start + block.count * chunk.stripHeight) { place in
      packStrip(
        of: tile, rows: rows, stride: block.count, inner: block.count, into: &place,
        on: instructions)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Products of activations with weights as they are stored: Y = X W^T.
///
/// X is `[N, in]`, W `[out, in]`, Y `[N, out]`. The weights are never held in float32 as a whole: a
/// block of rows that fits the cache is widened into the layout of the kernels, used for many
/// tokens, and forgotten.
package enum WeightProduct {
  /// Most elements of a block of widened weights: a quarter of a common L2 cache.
  private static let blockElementCount = 1 << 16
  /// Tokens that share one widening; more than that would leave threads without work at the end.
  private static let tokensPerItem = 1024
  /// Items that a run has at least, so that threads end at about the same time.
  private static let fewestItems = 8
  /// Cost of items that are not worth a cut: some ten microseconds.
  private static let smallestItemCost = 1 << 17
  /// Fewer strips than these would not pay for widening the weights of an item.
  private static let fewestStrips = 8

  /// A block of a result: rows of the weights of one of the terms, strips of its input.
  private struct Item: Sendable {
    let term: Int
    let rows: Range<Int>
    let strips: Range<Int>
    /// Length of the sums.
    let inner: Int

    var cost: Int { rows.count * strips.count * inner }
  }

  /// Multiplies all tokens with a weight matrix.
  ///
  /// - Parameters:
  ///   - input: Activations `[N, in]`.
  ///   - weight: Stored weights, shape `[out, in]`.
  ///   - rows: Which rows of the weights to use; all by default.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, rows.count]`.
  /// - Complexity: 2 N in out floating-point operations.
  package static func multiply(
    _ input: Matrix, by weight: EncodedTensor, rows: Range<Int>? = nil, workers: Workers
  ) -> Matrix {
    let packed = PackedRows(input, workers: workers)
    let rows = rows ?? 0..<weight.shape.rows
    let term = ProductTerm(packed, by: weight)
    return Matrix(rows: packed.rows, columns: rows.count) { output in
      forEachItem([term], rows: [rows], workers: workers) { item in
        multiply(term, item, into: output, column: -rows.lowerBound)
      }
    }
  }

  /// Multiplies the same tokens with several weight matrices, all in one parallel run.
  ///
  /// - Parameters:
  ///   - input: Activations `[N, in]`.
  ///   - weights: Stored weights, `[out, in]` each.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, out]` for each of the weights.
  package static func multiply(
    _ input: PackedRows, by weights: [EncodedTensor], workers: Workers
  ) -> [Matrix] {
    multiply(weights.map { ProductTerm(input, by: $0) }, workers: workers)
  }

  /// Computes several products in one parallel run.
  ///
  /// - Parameters:
  ///   - terms: What is multiplied, and what is done with it at once.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, out]` for each of the terms.
  package static func multiply(_ terms: [ProductTerm], workers: Workers) -> [Matrix] {
    var outputs: [Matrix] = []
    func lend(_ index: Int, _ shared: [SharedRows]) {
      guard index < terms.count else {
        forEachItem(terms, rows: terms.map { 0..<$0.weight.shape.rows }, workers: workers) {
          multiply(terms[$0.term], $0, into: shared[$0.term], column: 0)
        }
        return
      }
      let output = Matrix(
        rows: terms[index].input.rows, columns: terms[index].weight.shape.rows
      ) { rows in
        lend(index + 1, shared + [rows])
      }
      outputs.append(output)
    }
    lend(0, [])
    return outputs.reversed()
  }

  /// Multiplies with one weight matrix.
  ///
  /// Parameters and result as for several.
  package static func multiply(
    _ input: PackedRows, by weight: EncodedTensor, workers: Workers
  ) -> Matrix {
    multiply([ProductTerm(input, by: weight)], workers: workers)[0]
  }

  /// Adds the product with a weight matrix to a matrix: Y = Y + X W^T.
  ///
  /// - Parameters:
  ///   - input: X `[N, in]`.
  ///   - weight: W `[out, in]`, as it is stored.
  ///   - target: Y `[N, out]`; each element is changed by one addition of its finished product.
  ///   - workers: Threads. The result does not depend on their number.
  package static func add(
    _ input: PackedRows, by weight: EncodedTensor, to target: inout Matrix, workers: Workers
  ) {
    precondition(
      target.rows == input.rows && target.columns == weight.shape.rows, "shapes differ")
    let ones = [Float](repeating: 1, count: input.stripHeight)
    target.withSharedRows { target in
      forEachItem(
        [ProductTerm(input, by: weight)], rows: [0..<weight.shape.rows], workers: workers
      ) { item in
        forEachTile(input, strips: item.strips, by: weight, rows: item.rows) { rows, tile in
          addRows(
            tile.span, stride: item.rows.count, columns: item.rows.count, factors: ones.span,
            to: target, rows: rows, column: item.rows.lowerBound, on: input.instructions)
        }
      }
    }
  }

  /// Calls `body` with each tile of a product, `[rows.count, weight rows]`, on the calling thread.
  ///
  /// - Parameters:
  ///   - input: Activations.
  ///   - strips: Which strips of them.
  ///   - weight: Stored weights.
  ///   - rows: Which rows of the weights: columns of the tile.
  ///   - body: Is given the rows of a strip and the tile, which it may change.
  static func forEachTile(
    _ input: PackedRows, strips: Range<Int>, by weight: EncodedTensor, rows: Range<Int>,
    _ body: (_ rows: Range<Int>, _ tile: inout MutableSpan<Float>) -> Void
  ) {
    let instructions = input.instructions
    withPanels(of: weight, rows: rows, on: instructions) { panels in
      withScratch(input.stripHeight * rows.count) { tile in
        for strip in strips {
          let tokens = input.rows(ofStrip: strip)
          let product = StripProduct(
            rows: tokens.count, columns: rows.count, inner: input.columns,
            layout: .packed(inner: input.columns, on: instructions), instructions: instructions)
          product(input.strips.rowSpan(strip), panels, into: &tile, stride: rows.count)
          body(tokens, &tile)
        }
      }
    }
  }

  /// Lends widened rows of weights in panels.
  static func withPanels<Result>(
    of weight: EncodedTensor, rows: Range<Int>, on instructions: InstructionSet,
    _ body: (Span<Float>) -> Result
  ) -> Result {
    withScratch(instructions.panelElementCount(rows: rows.count, inner: weight.shape.columns)) {
      packPanels(weight, rows: rows, into: &$0, on: instructions)
      return body($0.span)
    }
  }

  /// Rows of weights that are widened together: whole panels.
  static func blockRowCount(inner: Int, on instructions: InstructionSet) -> Int {
    let width = instructions.panelWidth
    return min(max(blockElementCount / max(inner, 1) / width, 1) * width, 256)
  }

  private static func multiply(
    _ term: ProductTerm, _ item: Item, into output: SharedRows, column: Int
  ) {
    let input = term.input
    let instructions = input.instructions
    withPanels(of: term.weight, rows: item.rows, on: instructions) { panels in
      for strip in item.strips {
        let rows = input.rows(ofStrip: strip)
        let product = StripProduct(
          rows: rows.count, columns: item.rows.count, inner: input.columns,
          layout: .packed(inner: input.columns, on: instructions), instructions: instructions)
        product(
          input.strips.rowSpan(strip), panels, into: output, row: rows.lowerBound,
          column: item.rows.lowerBound + column)
        term.finish?(output, rows, item.rows)
      }
    }
  }

  /// Runs the blocks of some products on all threads, the largest first.
  private static func forEachItem(
    _ terms: [ProductTerm], rows: [Range<Int>], workers: Workers, _ body: @Sendable (Item) -> Void
  ) {
    let cost = zip(terms, rows).reduce(0) {
      $0 + $1.1.count * $1.0.input.strips.rows * $1.0.input.columns
    }
    let largest = max(cost / fewestItems, smallestItemCost)
    let items = zip(terms, rows).enumerated().flatMap { index, term in
      Self.items(ofTerm: index, term.0, rows: term.1, largestCost: largest)
    }
    let ordered = items.sorted { $0.cost > $1.cost }
    workers.forEach(ordered.count) { body(ordered[$0]) }
  }

  /// Cuts a product into blocks: by rows of weights first, each of which is then still widened once; only few
  /// rows by tokens as well.
  private static func items(
    ofTerm index: Int, _ term: ProductTerm, rows: Range<Int>, largestCost: Int
  ) -> [Item] {
    let input = term.input
    let (strips, inner) = (input.strips.rows, max(input.columns, 1))
    guard strips > 0, !rows.isEmpty else { return [] }
    let width = input.instructions.panelWidth
    // What is done with a product wants all rows from one thread.
    let mostStrips = term.finish == nil ? max(tokensPerItem / input.stripHeight, 1) : strips
    let affordableRows = largestCost / (min(strips, mostStrips) * inner) / width * width
    let blockRows = min(
      blockRowCount(inner: input.columns, on: input.instructions), max(affordableRows, width))
    let affordableStrips = largestCost / (min(blockRows, rows.count) * inner)
    let stripsPerItem =
      term.finish == nil ? min(mostStrips, max(affordableStrips, fewestStrips)) : strips
    return stride(from: rows.lowerBound, to: rows.upperBound, by: blockRows).flatMap { first in
      stride(from: 0, to: strips, by: stripsPerItem).map { strip in
        Item(
          term: index, rows: first..<min(first + blockRows, rows.upperBound),
          strips: strip..<min(strip + stripsPerItem, strips), inner: inner)
      }
    }
  }
}

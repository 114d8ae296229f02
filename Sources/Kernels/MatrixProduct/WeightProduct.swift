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
  /// Most tokens that share one widening, unless something is done with the product: more would leave threads
  /// without work at the end.
  private static let tokensPerItem = 1024
  /// Items that a run is cut into if it is large enough, so that threads end at about the same time.
  private static let wantedItems = 8
  /// Cost of items that are not worth a cut: some ten microseconds.
  private static let smallestItemCost = 1 << 17
  /// Fewer strips than these would not pay for widening the weights of an item.
  private static let fewestStrips = 8

  /// A block of a result: rows of the weights of one of the products, strips of its input.
  private struct Item: Sendable {
    let product: Int
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
    let planned = PlannedProduct(packed, by: weight)
    return Matrix(rows: packed.rows, columns: rows.count) { output in
      forEachItem([planned], rows: [rows], workers: workers) { item in
        multiply(planned, item, into: output, column: -rows.lowerBound)
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
    multiply(weights.map { PlannedProduct(input, by: $0) }, workers: workers)
  }

  /// Computes several products in one parallel run.
  ///
  /// - Parameters:
  ///   - planned: What is multiplied, and what is done with it at once.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, out]` for each of them.
  package static func multiply(_ planned: [PlannedProduct], workers: Workers) -> [Matrix] {
    var outputs: [Matrix] = []
    func lend(_ index: Int, _ shared: [SharedRows]) {
      guard index < planned.count else {
        forEachItem(planned, rows: planned.map { 0..<$0.weight.shape.rows }, workers: workers) {
          multiply(planned[$0.product], $0, into: shared[$0.product], column: 0)
        }
        return
      }
      let output = Matrix(
        rows: planned[index].input.rows, columns: planned[index].weight.shape.rows
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
    multiply([PlannedProduct(input, by: weight)], workers: workers)[0]
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
        [PlannedProduct(input, by: weight)], rows: [0..<weight.shape.rows], workers: workers
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
    _ planned: PlannedProduct, _ item: Item, into output: SharedRows, column: Int
  ) {
    let input = planned.input
    let instructions = input.instructions
    let columns = item.rows.lowerBound + column..<item.rows.upperBound + column
    withPanels(of: planned.weight, rows: item.rows, on: instructions) { panels in
      for strip in item.strips {
        let rows = input.rows(ofStrip: strip)
        let product = StripProduct(
          rows: rows.count, columns: item.rows.count, inner: input.columns,
          layout: .packed(inner: input.columns, on: instructions), instructions: instructions)
        product(
          input.strips.rowSpan(strip), panels, into: output, row: rows.lowerBound,
          column: columns.lowerBound)
        planned.finish?(output, rows, columns)
      }
    }
  }

  /// Runs the blocks of some products on all threads, the largest first.
  private static func forEachItem(
    _ planned: [PlannedProduct], rows: [Range<Int>], workers: Workers,
    _ body: @Sendable (Item) -> Void
  ) {
    let cost = zip(planned, rows).reduce(0) {
      $0 + $1.1.count * $1.0.input.strips.rows * $1.0.input.columns
    }
    let largest = max(cost / wantedItems, smallestItemCost)
    let items = zip(planned, rows).enumerated().flatMap { index, product in
      Self.items(ofProduct: index, product.0, rows: product.1, largestCost: largest)
    }
    let ordered = items.sorted { $0.cost > $1.cost }
    workers.forEach(ordered.count) { body(ordered[$0]) }
  }

  /// Cuts a product into blocks: by rows of weights as far as panels allow, by tokens where there are too few
  /// rows or too many tokens.
  private static func items(
    ofProduct index: Int, _ planned: PlannedProduct, rows: Range<Int>, largestCost: Int
  ) -> [Item] {
    let input = planned.input
    let (strips, inner) = (input.strips.rows, max(input.columns, 1))
    guard strips > 0, !rows.isEmpty else { return [] }
    let width = input.instructions.panelWidth
    // What is done with a product wants all rows from one thread.
    let mostStrips =
      planned.finish == nil ? max(tokensPerItem / input.stripHeight, 1) : strips
    let affordableRows = largestCost / (min(strips, mostStrips) * inner) / width * width
    let blockRows = min(
      blockRowCount(inner: input.columns, on: input.instructions), max(affordableRows, width))
    let affordableStrips = largestCost / (min(blockRows, rows.count) * inner)
    let stripsPerItem =
      planned.finish == nil ? min(mostStrips, max(affordableStrips, fewestStrips)) : strips
    return stride(from: rows.lowerBound, to: rows.upperBound, by: blockRows).flatMap { first in
      stride(from: 0, to: strips, by: stripsPerItem).map { strip in
        Item(
          product: index, rows: first..<min(first + blockRows, rows.upperBound),
          strips: strip..<min(strip + stripsPerItem, strips), inner: inner)
      }
    }
  }
}

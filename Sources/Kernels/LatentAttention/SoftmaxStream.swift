// SPDX-License-Identifier: Apache-2.0

internal import TensorCore

/// Causal softmax attention of a block of queries over keys that come block by block.
///
/// Keeps, for each query, the largest score m so far, the sum l of exp(score - m) and the weighted
/// sum o of values; a larger maximum rescales l and o by exp(m_old - m_new). Source: online softmax,
/// Milakov and Gimelshein 2018. Blocks come in the order of positions, so the result is fixed.
struct SoftmaxStream {
  private let queries: Matrix
  private let firstPosition: Int
  private let scale: Float
  private var maxima: [Float]
  private var sums: [Float]
  private var weighted: Matrix

  /// - Parameters:
  ///   - queries: `[n, key]`, at consecutive positions.
  ///   - firstPosition: Position of the first query; it sees keys up to and including that one.
  ///   - valueDimension: Columns of the values.
  ///   - scale: Factor on the scores.
  init(queries: Matrix, firstPosition: Int, valueDimension: Int, scale: Float) {
    self.queries = queries
    self.firstPosition = firstPosition
    self.scale = scale
    maxima = [Float](repeating: -.infinity, count: queries.rows)
    sums = [Float](repeating: 0, count: queries.rows)
    weighted = Matrix(rows: queries.rows, columns: valueDimension)
  }

  /// Takes the next keys `[n, key]` and values `[n, value]`; the first is at position `firstKey`.
  mutating func update(keys: Matrix, values: Matrix, firstKey: Int) {
    guard firstKey < firstPosition + queries.rows else { return }
    var scores = queries.multiplied(byTransposed: keys, alpha: scale)
    for row in 0..<queries.rows {
      // Keys beyond the query's own position are masked.
      let visible = min(max(firstPosition + row - firstKey + 1, 0), keys.rows)
      let rescale = Self.weigh(
        &scores, row: row, visible: visible, maximum: &maxima[row], sum: &sums[row])
      if rescale != 1 {
        weighted.scaleRow(row, by: rescale)
      }
    }
    weighted.add(scores.multiplied(by: values), workers: Workers(count: 1))
  }

  /// The attention output `[n, value]`.
  func result() -> Matrix {
    var output = weighted
    for row in 0..<output.rows {
      output.scaleRow(row, by: 1 / sums[row])
    }
    return output
  }

  /// Turns the scores of one query into exp(score - maximum), masked ones into 0.
  ///
  /// - Returns: The factor that brings earlier sums to the new maximum.
  private static func weigh(
    _ scores: inout Matrix, row: Int, visible: Int, maximum: inout Float, sum: inout Float
  ) -> Float {
    let start = row * scores.columns
    for index in start + visible..<start + scores.columns { scores.elements[index] = 0 }
    guard visible > 0 else { return 1 }
    var span = scores.elements.mutableSpan
    var part = span._mutatingExtracting(start..<start + visible)
    let larger = Swift.max(maximum, maximumElement(part.span))
    // exp(-infinity) is 0: before the first block there is nothing to keep.
    let rescale = exponential(maximum - larger)
    sum = sum * rescale + exponentiate(&part, subtracting: larger)
    maximum = larger
    return rescale
  }
}

extension Matrix {
  fileprivate mutating func scaleRow(_ row: Int, by factor: Float) {
    let range = row * columns..<(row + 1) * columns
    var span = elements.mutableSpan
    var part = span._mutatingExtracting(range)
    scale(&part, by: factor)
  }
}

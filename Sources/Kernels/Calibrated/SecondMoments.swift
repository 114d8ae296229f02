// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Sums of products of a matrix product's inputs: what its weights are rounded against.
///
///     H = sum over tokens of w^2 x x^T          [n, n], symmetric
///
/// x is what the product gets, and w the weight of the token: 1, or that of the expert. Products of up to `tokensPerSum` tokens are summed in
/// float32, these sums in float64, in the order of the tokens.
package struct SecondMoments: Sendable {
  /// Length of an input, n.
  package let dimension: Int
  /// H; only blocks on and above the diagonal until `complete`.
  package private(set) var moments: [Double]
  /// Tokens that were added.
  package private(set) var tokenCount = 0

  /// Tokens whose products are summed in float32.
  package static let tokensPerSum = 1024
  /// Rows of H that one thread computes at a time.
  private static let rowsPerItem = 256

  /// Nothing yet.
  ///
  /// - Parameter dimension: Length of an input.
  package init(dimension: Int) {
    self.dimension = dimension
    moments = [Double](repeating: 0, count: dimension * dimension)
  }

  /// Adds tokens.
  ///
  /// - Parameters:
  ///   - inputs: x, `[N, n]`.
  ///   - weights: w, one for each token; nil for 1.
  ///   - workers: Threads. The sums do not depend on their number.
  package mutating func add(
    _ inputs: Matrix, weights: [Float]? = nil, workers: Workers
  ) {
    precondition(inputs.columns == dimension, "inputs of another length")
    for start in stride(from: 0, to: inputs.rows, by: Self.tokensPerSum) {
      let rows = start..<min(start + Self.tokensPerSum, inputs.rows)
      addSums(Self.rows(rows, of: inputs, weights: weights), workers: workers)
    }
    tokenCount += inputs.rows
  }

  /// Some rows, each times its weight.
  private static func rows(
    _ rows: Range<Int>, of matrix: Matrix, weights: [Float]?
  ) -> Matrix {
    var block = matrix.block(rows: rows, columns: 0..<matrix.columns)
    guard let weights else { return block }
    block.withSharedRows { shared in
      for row in 0..<rows.count {
        shared.withRow(row) { scale(&$0, by: weights[rows.lowerBound + row]) }
      }
    }
    return block
  }

  private mutating func addSums(_ inputs: Matrix, workers: Workers) {
    let size = dimension
    let bands = (size + Self.rowsPerItem - 1) / Self.rowsPerItem
    let band = { @Sendable (index: Int) in
      index * Self.rowsPerItem..<min((index + 1) * Self.rowsPerItem, size)
    }
    let sums = workers.map(bands) { index in
      // The upper triangle alone: what is below it follows.
      inputs.product(transposing: band(index), of: inputs, columns: band(index).lowerBound..<size)
    }
    for (index, sum) in sums.enumerated() {
      Self.add(sum, to: &moments, row: band(index).lowerBound, column: band(index).lowerBound, size)
    }
  }

  private static func add(
    _ sum: Matrix, to target: inout [Double], row: Int, column: Int, _ size: Int
  ) {
    var span = target.mutableSpan
    for index in 0..<sum.rows {
      let source = sum.rowSpan(index)
      let start = (row + index) * size + column
      for offset in 0..<sum.columns { span[start + offset] += Double(source[offset]) }
    }
  }

  /// H for each token, with both of its halves.
  ///
  /// - Returns: `[n, n]`; nothing but zeros if there were no tokens.
  package func means() -> [Double] {
    let factor = tokenCount > 0 ? 1 / Double(tokenCount) : 0
    var full = moments
    for row in 0..<dimension {
      for column in row..<dimension {
        let mean = moments[row * dimension + column] * factor
        full[row * dimension + column] = mean
        full[column * dimension + row] = mean
      }
    }
    return full
  }
}

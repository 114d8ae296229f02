// SPDX-License-Identifier: Apache-2.0

package import TensorCore

extension FeedForwardWeights {
  /// The input of the down projection: SiLU(gate x) * up x.
  ///
  /// - Parameters:
  ///   - input: `[N, d]`.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, width]`.
  package func hidden(_ input: Matrix, workers: Workers) -> Matrix {
    let products = WeightProduct.multiply(
      PackedRows(input, workers: workers), by: [gate, up], workers: workers)
    var hidden = products[0]
    let raised = products[1]
    hidden.forEachRow(workers: workers) { row, gated in
      siluMultiply(&gated, by: raised.rowSpan(row))
    }
    return hidden
  }

  /// The layer for the first `count` tokens of an input, each counted once.
  package func member(ofAll count: Int) -> FeedForwardMember {
    FeedForwardMember(
      weights: self, tokens: Array(0..<count), factors: [Float](repeating: 1, count: count))
  }
}

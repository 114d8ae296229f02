// SPDX-License-Identifier: Apache-2.0

/// Root-mean-square normalisation of rows: y = x * rsqrt(mean(x^2) + epsilon) * weight.
package enum RMSNorm {
  /// Rows that one thread takes at a time.
  private static let rowsPerItem = 64

  /// Normalises each row of a matrix.
  ///
  /// - Parameters:
  ///   - input: `[N, d]`.
  ///   - weight: d factors.
  ///   - epsilon: Added to the mean of squares.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, d]`.
  package static func normalize(
    _ input: Matrix, weight: [Float], epsilon: Float, workers: Workers
  ) -> Matrix {
    precondition(weight.count == input.columns, "a weight for each column")
    var output = Matrix(rows: input.rows, columns: input.columns)
    let items = (input.rows + rowsPerItem - 1) / rowsPerItem
    output.withSharedRows { output in
      workers.forEach(items) { item in
        let first = item * rowsPerItem
        for row in first..<min(first + rowsPerItem, input.rows) {
          let source = input.elements.span.extracting(
            row * input.columns..<(row + 1) * input.columns)
          output.withRow(row) { target in
            normalizeRow(source, weight: weight.span, epsilon: epsilon, into: &target)
          }
        }
      }
    }
    return output
  }

  /// Normalises one row, or one head of it.
  package static func normalizeRow(
    _ input: Span<Float>, weight: Span<Float>, epsilon: Float, into output: inout MutableSpan<Float>
  ) {
    let factor = scale(input, epsilon: epsilon)
    for index in 0..<input.count { output[index] = input[index] * factor * weight[index] }
  }

  /// rsqrt(mean(x^2) + epsilon).
  package static func scale(_ input: Span<Float>, epsilon: Float) -> Float {
    1 / (sumOfSquares(input) / Float(input.count) + epsilon).squareRoot()
  }
}

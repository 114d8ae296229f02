// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Root-mean-square normalisation of rows: y = x * rsqrt(mean(x^2) + epsilon) * weight.
package enum RMSNorm {
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
    return Matrix(rows: input.rows, columns: input.columns) { output in
      output.forEachRow(workers: workers) { row, elements in
        elements.copy(from: input.rowSpan(row))
        normalize(&elements, weight: weight.span, epsilon: epsilon)
      }
    }
  }

  /// Normalises each row of a matrix into the layout that products read.
  ///
  /// Parameters as for a matrix.
  package static func pack(
    _ input: Matrix, weight: [Float], epsilon: Float, workers: Workers
  ) -> PackedRows {
    precondition(weight.count == input.columns, "a weight for each column")
    return PackedRows(rows: input.rows, columns: input.columns, workers: workers) { row, elements in
      elements.copy(from: input.rowSpan(row))
      normalize(&elements, weight: weight.span, epsilon: epsilon)
    }
  }

  /// Normalises some columns of each row, in place.
  package static func normalize(
    _ matrix: inout Matrix, columns: Range<Int>, weight: [Float], epsilon: Float, workers: Workers
  ) {
    precondition(weight.count == columns.count, "a weight for each column")
    matrix.forEachRow(workers: workers) { _, row in
      var part = row._mutatingExtracting(columns)
      normalize(&part, weight: weight.span, epsilon: epsilon)
    }
  }

  /// Normalises one row, or one head of it, in place.
  package static func normalize(
    _ row: inout MutableSpan<Float>, weight: Span<Float>, epsilon: Float
  ) {
    let factor = 1 / (sumOfSquares(row.span) / Float(row.count) + epsilon).squareRoot()
    scale(&row, by: factor)
    multiply(&row, by: weight)
  }
}

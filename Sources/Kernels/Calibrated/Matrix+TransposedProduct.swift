// SPDX-License-Identifier: Apache-2.0

extension Matrix {
  /// Some rows and columns of self^T * other, on the calling thread.
  ///
  /// - Parameters:
  ///   - rows: Columns of self, which become rows.
  ///   - other: `[rows of self, n]`.
  ///   - columns: Columns of other.
  /// - Returns: `[rows.count, columns.count]`.
  package func product(
    transposing rows: Range<Int>, of other: Matrix, columns: Range<Int>
  ) -> Matrix {
    precondition(
      self.rows == other.rows && rows.upperBound <= self.columns
        && columns.upperBound <= other.columns, "dimensions differ")
    let inner = self.rows
    let count = rows.count * columns.count
    guard count > 0, inner > 0 else { return Matrix(rows: rows.count, columns: columns.count) }
    let product = unsafe [Float](unsafeUninitializedCapacity: count) { result, initialized in
      unsafe elements.withUnsafeBufferPointer { left in
        unsafe other.elements.withUnsafeBufferPointer { right in
          guard let leftBase = left.baseAddress, let rightBase = right.baseAddress,
            let resultBase = result.baseAddress
          else { return }
          unsafe SingleProduct.transposingLeft(
            MatrixPointer(base: leftBase + rows.lowerBound, stride: self.columns),
            MatrixPointer(base: rightBase + columns.lowerBound, stride: other.columns),
            into: MutableMatrixPointer(base: resultBase, stride: columns.count),
            rows: rows.count, columns: columns.count, inner: inner)
        }
      }
      initialized = count
    }
    return Matrix(rows: rows.count, columns: columns.count, elements: product)
  }

  /// Takes away another matrix of the same shape.
  package mutating func subtract(_ other: Matrix) {
    precondition(rows == other.rows && columns == other.columns, "shapes differ")
    var target = elements.mutableSpan
    Kernels.add(other.elements.span, times: -1, to: &target)
  }
}

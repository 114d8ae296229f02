// SPDX-License-Identifier: Apache-2.0

/// Products and copies of small matrices on the calling thread.
extension Matrix {
  /// `alpha * self * other^T`: `[rows, n]` for an other of `[n, columns]`.
  func multiplied(byTransposed other: Matrix, alpha: Float = 1) -> Matrix {
    precondition(columns == other.columns, "inner dimensions differ")
    return unsafe product(other, columns: other.rows) { left, right, result in
      unsafe SingleProduct.transposed(
        left, right, into: result, rows: rows, columns: other.rows, inner: columns, alpha: alpha)
    }
  }

  /// `self * other`: `[rows, n]` for an other of `[columns, n]`.
  func multiplied(by other: Matrix) -> Matrix {
    precondition(columns == other.rows, "inner dimensions differ")
    return unsafe product(other, columns: other.columns) { left, right, result in
      unsafe SingleProduct.plain(
        left, right, into: result, rows: rows, columns: other.columns, inner: columns)
    }
  }

  private func product(
    _ other: Matrix, columns resultColumns: Int,
    _ body: (MatrixPointer, MatrixPointer, MutableMatrixPointer) -> Void
  ) -> Matrix {
    let count = rows * resultColumns
    let source = elements
    let product = unsafe [Float](unsafeUninitializedCapacity: count) { result, initialized in
      unsafe source.withUnsafeBufferPointer { left in
        unsafe other.elements.withUnsafeBufferPointer { right in
          guard let leftBase = left.baseAddress, let rightBase = right.baseAddress,
            let resultBase = result.baseAddress, columns > 0
          else {
            unsafe result.initialize(repeating: 0)
            return
          }
          unsafe body(
            MatrixPointer(base: leftBase, stride: columns),
            MatrixPointer(base: rightBase, stride: other.columns),
            MutableMatrixPointer(base: resultBase, stride: resultColumns))
        }
      }
      initialized = count
    }
    return Matrix(rows: rows, columns: resultColumns, elements: product)
  }

  /// A copy of some rows and columns.
  package func block(rows: Range<Int>, columns range: Range<Int>) -> Matrix {
    var block = Matrix(rows: rows.count, columns: range.count)
    block.copyColumns(of: self, range, row: rows.lowerBound, to: 0)
    return block
  }

  /// Copies columns of as many rows of `source`, from `row` on, to the columns from `column` on.
  mutating func copyColumns(of source: Matrix, _ range: Range<Int>, row: Int, to column: Int) {
    precondition(
      row >= 0 && row + rows <= source.rows && column + range.count <= columns
        && range.upperBound <= source.columns, "block out of bounds")
    let rows = rows
    withSharedRows { target in
      for index in 0..<rows {
        target.withRow(index, columns: column..<column + range.count) { target in
          target.copy(from: source.rowSpan(row + index).extracting(range))
        }
      }
    }
  }

  /// Adds another matrix of the same shape.
  package mutating func add(_ other: Matrix) {
    precondition(rows == other.rows && columns == other.columns, "shapes differ")
    var target = elements.mutableSpan
    Kernels.add(other.elements.span, to: &target)
  }
}

extension SharedRows {
  /// Writes a block at a place that nobody else writes to.
  func store(_ block: Matrix, row: Int, column: Int) {
    for index in 0..<block.rows {
      withRow(row + index, columns: column..<column + block.columns) { target in
        target.copy(from: block.rowSpan(index))
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

/// A float32 matrix `[rows, columns]`, row-major and contiguous.
///
/// Activations are matrices whose rows are tokens.
package struct Matrix: Sendable, Equatable {
  /// Number of rows.
  package let rows: Int
  /// Number of columns: the distance between the starts of two rows.
  package let columns: Int
  /// All elements, row after row.
  package var elements: [Float]

  /// A matrix of zeros.
  package init(rows: Int, columns: Int) {
    self.init(rows: rows, columns: columns, elements: [Float](repeating: 0, count: rows * columns))
  }

  /// A matrix of given elements.
  ///
  /// - Precondition: There are `rows * columns` elements.
  package init(rows: Int, columns: Int, elements: [Float]) {
    precondition(elements.count == rows * columns, "a matrix of \(rows) x \(columns)")
    self.rows = rows
    self.columns = columns
    self.elements = elements
  }

  /// A matrix that `fill` writes; its memory is not cleared before.
  ///
  /// - Parameters:
  ///   - rows: Number of rows.
  ///   - columns: Number of columns.
  ///   - fill: Writes every element, on any number of threads.
  package init(rows: Int, columns: Int, filling fill: (SharedRows) -> Void) {
    let count = rows * columns
    let elements = unsafe [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe fill(SharedRows(rows: rows, columns: columns, base: buffer.baseAddress))
      initialized = count
    }
    self.init(rows: rows, columns: columns, elements: elements)
  }

  /// The element at a place.
  package subscript(row: Int, column: Int) -> Float {
    get { elements[row * columns + column] }
    set { elements[row * columns + column] = newValue }
  }

  /// The elements of one row, as a copy.
  package func row(_ index: Int) -> [Float] {
    Array(elements[index * columns..<(index + 1) * columns])
  }
}

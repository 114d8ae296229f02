// SPDX-License-Identifier: Apache-2.0

package import TensorCore

extension MutableSpan where Element == Float {
  /// Takes the elements of a span of the same length.
  @inline(__always)
  package mutating func copy(from source: Span<Float>) {
    precondition(count == source.count, "spans differ in length")
    for index in 0..<count { self[index] = source[index] }
  }
}

extension Array where Element == Float {
  /// The elements of a span.
  package init(copying span: Span<Float>) {
    self.init(repeating: 0, count: span.count)
    var target = mutableSpan
    target.copy(from: span)
  }
}

extension SharedRows {
  /// Rows that one thread takes at a time.
  private static var rowsPerItem: Int { 64 }

  /// Calls `body` for each row with its index, on all threads.
  ///
  /// A row is its caller's alone, so the result does not depend on the number of threads.
  package func forEachRow(
    workers: Workers, _ body: @Sendable (_ row: Int, _ elements: inout MutableSpan<Float>) -> Void
  ) {
    workers.forEach((rows + Self.rowsPerItem - 1) / Self.rowsPerItem) { item in
      for row in item * Self.rowsPerItem..<min((item + 1) * Self.rowsPerItem, rows) {
        withRow(row) { body(row, &$0) }
      }
    }
  }
}

/// Work on whole rows.
extension Matrix {
  /// Calls `body` for each row with its index, on all threads.
  ///
  /// A row is its caller's alone, so the result does not depend on the number of threads.
  package mutating func forEachRow(
    workers: Workers, _ body: @Sendable (_ row: Int, _ elements: inout MutableSpan<Float>) -> Void
  ) {
    withSharedRows { $0.forEachRow(workers: workers, body) }
  }

  /// Adds another matrix of the same shape, on all threads.
  package mutating func add(_ other: Matrix, workers: Workers) {
    precondition(rows == other.rows && columns == other.columns, "shapes differ")
    forEachRow(workers: workers) { row, elements in
      Kernels.add(other.rowSpan(row), to: &elements)
    }
  }

  /// A matrix of some rows, in the order given.
  package func gather(_ indices: [Int], workers: Workers) -> Matrix {
    Matrix(rows: indices.count, columns: columns) { target in
      target.forEachRow(workers: workers) { row, elements in
        elements.copy(from: rowSpan(indices[row]))
      }
    }
  }

  /// The elements of one row, in place.
  @_lifetime(borrow self)
  package func rowSpan(_ row: Int) -> Span<Float> {
    elements.span.extracting(row * columns..<(row + 1) * columns)
  }
}

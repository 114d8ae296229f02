// SPDX-License-Identifier: Apache-2.0

/// Work on whole rows.
extension Matrix {
  /// Rows that one thread takes at a time.
  private static let rowsPerItem = 64

  /// Calls `body` for each row with its index, on all threads.
  ///
  /// A row is its caller's alone, so the result does not depend on the number of threads.
  package mutating func forEachRow(
    workers: Workers, _ body: @Sendable (_ row: Int, _ elements: inout MutableSpan<Float>) -> Void
  ) {
    let rows = rows
    withSharedRows { shared in
      workers.forEach((rows + Self.rowsPerItem - 1) / Self.rowsPerItem) { item in
        for row in item * Self.rowsPerItem..<min((item + 1) * Self.rowsPerItem, rows) {
          shared.withRow(row) { body(row, &$0) }
        }
      }
    }
  }

  /// The elements of one row, in place.
  @_lifetime(borrow self)
  package func rowSpan(_ row: Int) -> Span<Float> {
    elements.span.extracting(row * columns..<(row + 1) * columns)
  }
}

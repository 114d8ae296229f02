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

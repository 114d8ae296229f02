// SPDX-License-Identifier: Apache-2.0

/// Mutable float storage that several threads fill at once, each in rows and columns of its own.
///
/// This is the one place of the module where threads share memory that is written. Kernels
/// stay free of pointers: they ask for a span of one row, or of a part of it, and nobody else may
/// ask for the same place while they hold it.
@safe
package struct SharedRows: @unchecked Sendable {
  /// Number of rows.
  package let rows: Int
  /// Number of columns.
  package let columns: Int
  private let base: UnsafeMutablePointer<Float>?

  /// - Parameters:
  ///   - rows: Number of rows.
  ///   - columns: Number of columns.
  ///   - base: `rows * columns` floats that live as long as this value is used.
  @unsafe
  init(rows: Int, columns: Int, base: UnsafeMutablePointer<Float>?) {
    self.rows = rows
    self.columns = columns
    unsafe self.base = base
  }

  /// Lends the elements `columns` of one row to `body`.
  ///
  /// - Precondition: The place lies inside, and no other thread uses it meanwhile.
  @inline(__always)
  package func withRow<Result>(
    _ row: Int, columns range: Range<Int>, _ body: (inout MutableSpan<Float>) -> Result
  ) -> Result {
    precondition(
      row >= 0 && row < rows && range.lowerBound >= 0 && range.upperBound <= columns,
      "row or columns out of bounds")
    guard let base = unsafe base else {
      var empty = MutableSpan<Float>()
      return body(&empty)
    }
    let start = unsafe base + row * columns + range.lowerBound
    var span = unsafe MutableSpan(_unsafeStart: start, count: range.count)
    return body(&span)
  }

  /// Lends one whole row to `body`.
  @inline(__always)
  package func withRow<Result>(
    _ row: Int, _ body: (inout MutableSpan<Float>) -> Result
  ) -> Result {
    withRow(row, columns: 0..<columns, body)
  }

  /// Lends consecutive whole rows to `body` as one span.
  ///
  /// - Precondition: The rows lie inside, and no other thread uses them meanwhile.
  @inline(__always)
  package func withRows<Result>(
    _ range: Range<Int>, _ body: (inout MutableSpan<Float>) -> Result
  ) -> Result {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows out of bounds")
    guard let base = unsafe base else {
      var empty = MutableSpan<Float>()
      return body(&empty)
    }
    var span = unsafe MutableSpan(
      _unsafeStart: base + range.lowerBound * columns, count: range.count * columns)
    return body(&span)
  }

  /// Address of the element at a place, for a C kernel.
  @unsafe
  func address(row: Int, column: Int) -> UnsafeMutablePointer<Float>? {
    unsafe base.map { unsafe $0 + row * columns + column }
  }
}

extension Matrix {
  /// Lets several threads write to this matrix while `body` runs.
  package mutating func withSharedRows<Result>(_ body: (SharedRows) throws -> Result) rethrows
    -> Result
  {
    let (rows, columns) = (rows, columns)
    return try unsafe elements.withUnsafeMutableBufferPointer { buffer in
      unsafe try body(SharedRows(rows: rows, columns: columns, base: buffer.baseAddress))
    }
  }
}

/// Lends several matrices to threads at once.
func withSharedRows<Result>(
  of matrices: inout [Matrix], _ body: ([SharedRows]) -> Result
) -> Result {
  func lend(_ matrices: inout ArraySlice<Matrix>, _ shared: [SharedRows]) -> Result {
    guard var last = matrices.popLast() else { return body(shared.reversed()) }
    defer { matrices.append(last) }
    return last.withSharedRows { lend(&matrices, shared + [$0]) }
  }
  var slice = matrices[...]
  matrices = []
  defer { matrices = Array(slice) }
  return lend(&slice, [])
}

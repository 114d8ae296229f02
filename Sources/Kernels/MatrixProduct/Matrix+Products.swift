// SPDX-License-Identifier: Apache-2.0

/// Products and copies of small matrices on the calling thread.
extension Matrix {
  /// `alpha * self * other^T`: `[rows, n]` for an other of `[n, columns]`.
  package func multiplied(
    byTransposed other: Matrix, alpha: Float = 1, on instructions: InstructionSet = .best
  ) -> Matrix {
    precondition(columns == other.columns, "inner dimensions differ")
    let (inner, width) = (columns, instructions.panelWidth)
    let size = instructions.panelElementCount(rows: other.rows, inner: inner)
    return withScratch(size) { panels in
      for first in stride(from: 0, to: other.rows, by: width) {
        var panel = panels._mutatingExtracting(first * inner..<(first + width) * inner)
        packPanel(
          of: other.elements.span.extracting((first * inner)...),
          rows: Swift.min(width, other.rows - first), stride: inner, inner: inner, into: &panel,
          on: instructions)
      }
      var product = multiplied(
        by: panels.span, columns: other.rows, layout: .packed(inner: inner, on: instructions),
        on: instructions)
      if alpha != 1 {
        var elements = product.elements.mutableSpan
        scale(&elements, by: alpha, on: instructions)
      }
      return product
    }
  }

  /// `self * other`: `[rows, n]` for an other of `[columns, n]`.
  package func multiplied(by other: Matrix, on instructions: InstructionSet = .best) -> Matrix {
    precondition(columns == other.rows, "inner dimensions differ")
    let width = instructions.panelWidth
    let stride = (other.columns + width - 1) / width * width
    // A copy whose rows have room for whole panels.
    return withScratch(other.rows * stride) { padded in
      for row in 0..<other.rows {
        var target = padded._mutatingExtracting(row * stride..<(row + 1) * stride)
        for index in other.columns..<stride { target[index] = 0 }
        var elements = target._mutatingExtracting(0..<other.columns)
        elements.copy(from: other.rowSpan(row))
      }
      return multiplied(
        by: padded.span, columns: other.columns,
        layout: .rowMajor(stride: stride, on: instructions), on: instructions)
    }
  }

  private func multiplied(
    by panels: Span<Float>, columns resultColumns: Int, layout: PanelLayout,
    on instructions: InstructionSet
  ) -> Matrix {
    let (inner, height) = (columns, instructions.stripHeight)
    return Matrix(rows: rows, columns: resultColumns) { result in
      withScratch(inner * height) { strip in
        for first in stride(from: 0, to: rows, by: height) {
          let rows = first..<Swift.min(first + height, rows)
          packStrip(of: self, rows: rows, into: &strip, on: instructions)
          let product = StripProduct(
            rows: rows.count, columns: resultColumns, inner: inner, layout: layout,
            instructions: instructions)
          product(strip.span, panels, into: result, row: first, column: 0)
        }
      }
    }
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

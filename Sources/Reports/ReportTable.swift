// SPDX-License-Identifier: Apache-2.0

/// Rows of typed cells, which every renderer shows in its own way.
package struct ReportTable: Sendable, Equatable {
  /// What the rows are in a JSON document.
  package enum Form: Sendable, Equatable {
    /// An array of objects.
    case list
    /// An object whose keys are the cells of the first column.
    case keyed
  }

  /// Its key in a JSON document, snake_case.
  package let key: String
  /// What stands above it; nil for nothing.
  package let title: String?
  /// What its rows are in JSON.
  package let form: Form
  /// Who sees it.
  package let audience: Audience
  /// The columns.
  package let columns: [Column]
  /// The cells, as many in each row as there are columns.
  package let rows: [[Cell]]
  /// A last row for people, such as the sums of the others; programs find it in the document.
  package let total: [Cell]?

  /// Makes a table of some rows.
  ///
  /// - Parameters:
  ///   - key: Its key in a JSON document.
  ///   - title: What stands above it.
  ///   - form: What its rows are in JSON.
  ///   - audience: Who sees it.
  ///   - rows: What it is about.
  ///   - total: What the last row is about.
  ///   - columns: How a cell is made of a row.
  package init<Row>(
    _ key: String, title: String? = nil, form: Form = .list, for audience: Audience = .everyone,
    rows: [Row], total: Row? = nil, columns: [TableColumn<Row>]
  ) {
    self.key = key
    self.title = title
    self.form = form
    self.audience = audience
    self.columns = columns.map(\.column)
    var cells = rows.map { row in columns.map { $0.cell(row) } }
    for (index, column) in columns.enumerated() where column.column.marksLargest {
      Self.markLargest(of: index, in: &cells)
    }
    self.rows = cells
    self.total = total.map { row in columns.map { $0.cell(row) } }
  }

  /// Marks the largest value of a column, and all that are not finite.
  private static func markLargest(of column: Int, in rows: inout [[Cell]]) {
    let largest = rows.compactMap { $0[column].magnitude }.max()
    for row in rows.indices {
      let cell = rows[row][column]
      if cell.isNotFinite {
        rows[row][column].tone = .bad
      } else if let magnitude = cell.magnitude, magnitude > 0, magnitude == largest,
        rows.count > 1, cell.tone == .plain
      {
        rows[row][column].tone = .warning
      }
    }
  }

  /// The columns that some reader sees, by index.
  func columns(for reader: Audience) -> [Int] {
    columns.indices.filter { columns[$0].audience == .everyone || columns[$0].audience == reader }
  }
}

// SPDX-License-Identifier: Apache-2.0

/// Who sees a column or a table.
package enum Audience: Sendable, Equatable {
  case everyone
  /// The terminal and Markdown: what sums up, or repeats in other words, what programs get elsewhere.
  case people
  /// JSON and CSV: what would crowd a table.
  case programs
}

/// What a column is called, and how it is shown.
package struct Column: Sendable, Equatable {
  /// On which side its values stand.
  package enum Alignment: Sendable, Equatable {
    case left
    case right
  }

  /// The key of its values in JSON, snake_case.
  package let key: String
  /// The key of the object that holds them there; nil for the row's own.
  package let group: String?
  /// What stands above it.
  package let title: String
  /// On which side its values stand.
  package let alignment: Alignment
  /// The order in which columns leave a table that is wider than the terminal: the largest goes first,
  /// 0 stays always.
  package let importance: Int
  /// Who sees it.
  package let audience: Audience
  /// Whether its largest value is marked, as the one to look at.
  package let marksLargest: Bool

  /// The name that it has as a column of CSV: the path of its key in JSON.
  package var path: String { group.map { "\($0).\(key)" } ?? key }
}

/// A column together with how its cells are made from the rows of a table.
package struct TableColumn<Row> {
  /// What it is called, and how it is shown.
  package let column: Column
  let cell: (Row) -> Cell

  /// The same column for everyone and at any width: the one that a reader asked for.
  package var kept: TableColumn {
    let alignment: Column.Alignment = column.audience == .programs ? .right : column.alignment
    return TableColumn(
      column: Column(
        key: column.key, group: column.group, title: column.title, alignment: alignment,
        importance: 0, audience: .everyone, marksLargest: column.marksLargest),
      cell: cell)
  }

  /// Text, on the left.
  ///
  /// - Parameters:
  ///   - key: Its key in JSON.
  ///   - title: What stands above it.
  ///   - importance: When it leaves a narrow table; 0 for never.
  ///   - audience: Who sees it.
  ///   - cell: The cell of a row.
  /// - Returns: The column.
  package static func text(
    _ key: String, _ title: String, importance: Int = 0, for audience: Audience = .everyone,
    _ cell: @escaping (Row) -> Cell
  ) -> TableColumn {
    TableColumn(
      column: Column(
        key: key, group: nil, title: title, alignment: .left, importance: importance,
        audience: audience, marksLargest: false),
      cell: cell)
  }

  /// Numbers, on the right.
  ///
  /// - Parameters:
  ///   - key: Its key in JSON.
  ///   - group: The key of the object that holds it there, if not the row's own.
  ///   - title: What stands above it.
  ///   - importance: When it leaves a narrow table; 0 for never.
  ///   - audience: Who sees it.
  ///   - marksLargest: Whether its largest value is marked.
  ///   - cell: The cell of a row.
  /// - Returns: The column.
  package static func number(
    _ key: String, in group: String? = nil, _ title: String, importance: Int = 0,
    for audience: Audience = .everyone, marksLargest: Bool = false,
    _ cell: @escaping (Row) -> Cell
  ) -> TableColumn {
    TableColumn(
      column: Column(
        key: key, group: group, title: title, alignment: .right, importance: importance,
        audience: audience, marksLargest: marksLargest),
      cell: cell)
  }

  /// Bars, on the left.
  package static func bars(
    _ key: String, in group: String? = nil, _ title: String, importance: Int,
    _ counts: @escaping (Row) -> [Int]?
  ) -> TableColumn {
    TableColumn(
      column: Column(
        key: key, group: group, title: title, alignment: .left, importance: importance,
        audience: .everyone, marksLargest: false),
      cell: { counts($0).map { Cell(.histogram($0)) } ?? .missing })
  }

  /// A value for programs alone.
  package static func data(
    _ key: String, in group: String? = nil, _ cell: @escaping (Row) -> Cell
  ) -> TableColumn {
    TableColumn(
      column: Column(
        key: key, group: group, title: key, alignment: .left, importance: 0,
        audience: .programs, marksLargest: false),
      cell: cell)
  }
}

// SPDX-License-Identifier: Apache-2.0

import TensorCore

extension ReportTable {
  /// The lines of the table, under its title, and one about columns that did not fit.
  func lines(_ style: TextStyle) -> [String] {
    let readable = columns(for: .people)
    let columns = readable.map { self.columns[$0] }
    let body = (rows + (total.map { [$0] } ?? [])).map { row in
      zip(columns, readable).map { column, index in
        Piece(text: style.spelled(row[index].text(in: column)), tone: row[index].tone)
      }
    }
    let titles = columns.map { Piece(text: style.spelled($0.title), tone: .plain) }
    let widths = columns.indices.map { column in
      ([titles] + body).map { $0[column].text.cellCount }.max() ?? 0
    }
    let layout = TableLayout(columns, widths: widths, limit: style.width)
    func line(_ row: [Piece], _ style: TextStyle) -> String {
      Self.line(layout.placed(row, ellipsis: style.spelled("…")), style)
    }
    var lines = title.map { [style.bold(style.clipped($0))] } ?? []
    if titles.contains(where: { !$0.text.isEmpty }) {
      lines.append(style.bold(line(titles, style.withoutColors)))
    }
    lines += body.map { line($0, style) }
    return lines + Self.remark(on: layout.dropped.map { titles[$0].text }, style)
  }

  /// One line without spaces at its end.
  ///
  /// What is too wide still, because there was no more to drop, ends at the edge.
  private static func line(_ pieces: [Piece], _ style: TextStyle) -> String {
    let end = pieces.lastIndex { $0.text.contains { $0 != " " } } ?? -1
    var room = style.width ?? .max
    return pieces.prefix(end + 1).enumerated().map { index, piece in
      var text = piece.text.clipped(toCells: room)
      room -= text.cellCount
      if index == end { text = text.withoutSpacesAtEnd }
      return style.painted(text, piece.tone)
    }.joined()
  }

  private static func remark(on dropped: [String], _ style: TextStyle) -> [String] {
    let names = dropped.filter { !$0.isEmpty }
    guard !names.isEmpty else { return [] }
    let text =
      "not shown: \(names.joined(separator: ", ")); a wider terminal or a pipe shows all columns"
    return TextWrapping.lines(of: text, width: style.width).map { style.dim(style.clipped($0)) }
  }
}

/// A part of a line.
private struct Piece {
  let text: String
  let tone: Tone
}

extension TableLayout {
  /// The cells of a row that are shown, with the spaces around them.
  fileprivate func placed(_ row: [Piece], ellipsis: String) -> [Piece] {
    zip(shown, widths).enumerated().flatMap { place, column in
      let (index, width) = column
      let text = row[index].text.shortened(toCells: width, ellipsis: ellipsis)
      let padding = Piece(
        text: String(repeating: " ", count: width - text.cellCount), tone: .plain)
      let cell = Piece(text: text, tone: row[index].tone)
      let gap = Piece(text: place == 0 ? "" : Self.gap, tone: .plain)
      return [gap] + (columns[index].alignment == .left ? [cell, padding] : [padding, cell])
    }
  }
}

extension Cell {
  /// The text; a number that is missing shows that it is.
  fileprivate func text(in column: Column) -> String {
    value == .missing && column.alignment == .right ? "-" : text
  }
}

extension TextStyle {
  fileprivate var withoutColors: TextStyle {
    TextStyle(width: width, isColored: false, isUnicode: isUnicode)
  }

  /// A line in the characters and the width that there are.
  fileprivate func clipped(_ line: String) -> String {
    let text = spelled(line)
    return width.map { text.clipped(toCells: $0).withoutSpacesAtEnd } ?? text
  }
}

extension String {
  fileprivate var withoutSpacesAtEnd: String {
    var text = Substring(self)
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}

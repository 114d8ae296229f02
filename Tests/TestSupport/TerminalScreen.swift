// SPDX-License-Identifier: Apache-2.0

/// What a terminal shows of the bytes that it got: enough of one to find rows that a program forgot to clear.
///
/// It knows carriage return, line feed, backspace, wrapping at the last column, and the sequences that clear to the
/// end of the row or of the screen. Anything else is an error of the program under test, and shows as text.
/// Every character takes one cell. The screen grows downwards as far as it must.
package struct TerminalScreen: Sendable {
  /// What becomes of rows that are longer than a terminal that is made narrower.
  package enum Resizing: Sendable, CaseIterable {
    /// They are wrapped, and the cursor stays on its character: VTE, kitty, tmux.
    case wraps
    /// They lose their ends: xterm.
    case cuts
  }

  private struct Row {
    var cells: [Character] = []
    /// Whether the next row goes on where this one was full.
    var isContinued = false
  }

  /// Cells of a row.
  package private(set) var columns: Int
  private let resizing: Resizing
  private var rows = [Row()]
  private var (row, column) = (0, 0)
  /// Rows that were cleared and kept, as tmux does when a program clears all from the upper left corner.
  private var history: [Row] = []
  /// A control sequence that has begun.
  private var sequence: String?

  /// An empty screen.
  package init(columns: Int, resizing: Resizing) {
    self.columns = columns
    self.resizing = resizing
  }

  /// The rows that show something, those that scrolled away included, without spaces at their ends.
  package var lines: [String] {
    (history + rows).map { row in
      var text = Substring(String(row.cells))
      while text.last == " " { text.removeLast() }
      return String(text)
    }.filter { !$0.isEmpty }
  }

  /// Shows text.
  package mutating func show(_ text: String) {
    for scalar in text.unicodeScalars { show(Character(scalar)) }
  }

  private mutating func show(_ character: Character) {
    if let begun = sequence {
      sequence = begun + String(character)
      if begun.count > 1, character.isLetter { finishSequence(begun + String(character)) }
      return
    }
    switch character {
    case "\u{1B}": sequence = "\u{1B}"
    case "\r": column = 0
    case "\u{8}": column = max(column - 1, 0)
    case "\n": moveDown(isContinued: false)
    default: put(character)
    }
  }

  private mutating func put(_ character: Character) {
    if column == columns {
      moveDown(isContinued: true)
      column = 0
    }
    while rows[row].cells.count <= column { rows[row].cells.append(" ") }
    rows[row].cells[column] = character
    column += 1
  }

  private mutating func moveDown(isContinued: Bool) {
    rows[row].isContinued = isContinued
    row += 1
    if row == rows.count { rows.append(Row()) }
  }

  private mutating func finishSequence(_ text: String) {
    sequence = nil
    switch text {
    case "\u{1B}[K", "\u{1B}[J":
      if text.hasSuffix("J"), row == 0, column == 0 { history += rows }
      rows[row].cells = Array(rows[row].cells.prefix(column))
      rows[row].isContinued = false
      if text.hasSuffix("J") { rows.removeSubrange((row + 1)...) }
    default:
      for character in text.dropFirst() { put(character) }
    }
  }

  /// Gives the terminal another width.
  package mutating func resize(columns: Int) {
    defer { self.columns = columns }
    guard resizing == .wraps else {
      for index in rows.indices { rows[index].cells = Array(rows[index].cells.prefix(columns)) }
      column = min(column, columns - 1)
      return
    }
    var wrapped: [Row] = []
    var cursor = (row: 0, column: 0)
    var line: [Character] = []
    for (index, old) in rows.enumerated() {
      if index == row {
        cursor = (wrapped.count + (line.count + column) / columns, (line.count + column) % columns)
      }
      line += old.cells
      guard !old.isContinued || index == rows.count - 1 else { continue }
      repeat {
        wrapped.append(
          Row(cells: Array(line.prefix(columns)), isContinued: line.count > columns))
        line = Array(line.dropFirst(columns))
      } while !line.isEmpty
    }
    while wrapped.count <= cursor.row { wrapped.append(Row()) }
    rows = wrapped
    (row, column) = cursor
  }
}

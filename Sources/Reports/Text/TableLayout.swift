// SPDX-License-Identifier: Apache-2.0

/// Which columns of a table fit a width, and how wide they are.
struct TableLayout {
  /// Spaces between two columns.
  static let gap = "  "
  /// Fewest cells of a name that is shortened before columns of importance 1 go.
  private static let comfortableNameWidth = 40
  /// Fewest cells of a name.
  private static let shortestNameWidth = 8

  /// Indices of the columns that are shown.
  private(set) var shown: [Int]
  /// Indices of those that are not, in the order of the table.
  private(set) var dropped: [Int] = []
  /// Cells of each shown column.
  private(set) var widths: [Int]

  /// All columns.
  let columns: [Column]

  /// Lays a table out.
  ///
  /// Columns go by importance until the rest fits; those of importance 1 go only after the first column,
  /// which has the names, was shortened. A table of which even that does not fit is cut by the renderer.
  ///
  /// - Parameters:
  ///   - columns: The columns.
  ///   - widths: Cells that each of them needs; first that of the names.
  ///   - limit: Cells of a line; nil for any number.
  init(_ columns: [Column], widths: [Int], limit: Int?) {
    self.columns = columns
    self.widths = widths
    shown = Array(columns.indices)
    guard let limit else { return }
    drop(until: limit, downTo: 2)
    shortenName(to: limit, least: Self.comfortableNameWidth)
    drop(until: limit, downTo: 1)
    shortenName(to: limit, least: Self.shortestNameWidth)
    dropped = columns.indices.filter { !shown.contains($0) }
  }

  private var total: Int {
    widths.reduce(0, +) + Self.gap.count * max(shown.count - 1, 0)
  }

  private mutating func drop(until limit: Int, downTo least: Int) {
    while total > limit {
      // Of columns that matter the same, the last one goes first.
      let candidates = shown.indices.filter { columns[shown[$0]].importance >= least }
      guard
        let place = candidates.max(by: { left, right in
          (columns[shown[left]].importance, left) < (columns[shown[right]].importance, right)
        })
      else { return }
      shown.remove(at: place)
      widths.remove(at: place)
    }
  }

  private mutating func shortenName(to limit: Int, least: Int) {
    guard total > limit, let name = widths.first,
      let column = shown.first, columns[column].alignment == .left
    else { return }
    widths[0] = min(name, max(least, name - (total - limit)))
  }
}

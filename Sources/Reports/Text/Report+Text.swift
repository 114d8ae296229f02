// SPDX-License-Identifier: Apache-2.0

import TensorCore

extension Report {
  /// The report as text, without a newline at its end.
  ///
  /// - Parameter style: What its reader has.
  /// - Returns: Lines of which no one of a table is longer than the width; prose is wrapped between words.
  package func text(_ style: TextStyle) -> String {
    let parts = blocks.compactMap { block -> [String]? in
      switch block {
      case .facts(let facts, _): Self.lines(of: facts, style)
      case .notes(let notes):
        notes.flatMap { note in
          TextWrapping.lines(of: style.spelled(note.text.asOneLine), width: style.width)
            .map { style.painted($0, note.tone) }
        }
      case .table(let table): table.audience == .programs ? nil : table.lines(style)
      case .fields: nil
      }
    }
    return parts.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }
      .joined(separator: "\n\n")
  }

  /// Labels on the left; values beside them, wrapped below themselves.
  private static func lines(of facts: [Fact], _ style: TextStyle) -> [String] {
    let labels = facts.map { style.spelled($0.label.asOneLine) }
    let indent = (labels.map(\.cellCount).max() ?? 0) + TableLayout.gap.count
    return zip(facts, labels).flatMap { fact, label in
      let values = TextWrapping.lines(
        of: style.spelled(fact.text.asOneLine), width: style.width.map { max($0 - indent, 1) })
      return values.enumerated().map { index, value in
        let start = index == 0 ? label : ""
        let padding = String(repeating: " ", count: indent - start.cellCount)
        return start + padding + style.painted(value, fact.tone)
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import TensorCore

extension Report {
  /// The report as GitHub's Markdown: facts as a list, tables as tables, lines as paragraphs.
  package var markdown: String {
    let parts = blocks.compactMap { block -> String? in
      switch block {
      case .facts(let facts, _): Self.list(facts)
      case .notes(let notes):
        notes.map { $0.text.asMarkdown }.joined(separator: "\n\n")
      case .table(let table): table.audience == .programs ? nil : table.markdown
      case .fields: nil
      }
    }
    return parts.joined(separator: "\n\n")
  }

  private static func list(_ facts: [Fact]) -> String {
    facts.map { fact in
      fact.label.isEmpty
        ? "  \(fact.text.asMarkdown)" : "- **\(fact.label.asMarkdown)**: \(fact.text.asMarkdown)"
    }.joined(separator: "\n")
  }
}

extension ReportTable {
  /// The table as Markdown, under its title.
  var markdown: String {
    let shown = columns(for: .people)
    func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
    var lines = title.map { ["### \($0.asMarkdown)", ""] } ?? []
    lines.append(line(shown.map { columns[$0].title.asMarkdown }))
    lines.append(line(shown.map { columns[$0].alignment == .right ? "---:" : "---" }))
    for row in rows + (total.map { [$0] } ?? []) {
      lines.append(line(shown.map { row[$0].text.asMarkdown }))
    }
    return lines.joined(separator: "\n")
  }
}

extension String {
  /// The text on one line, with escapes for whatever Markdown would take for its own.
  ///
  /// It goes by scalars: a bar with an accent is one character, and still ends a cell.
  fileprivate var asMarkdown: String {
    let scalars = Array(asOneLine.unicodeScalars)
    func isWord(_ index: Int) -> Bool {
      scalars.indices.contains(index)
        && (scalars[index].properties.isAlphabetic || scalars[index].properties.numericType != nil)
    }
    return scalars.indices.map { index in
      switch scalars[index] {
      case "\\", "|", "`", "*", "<", "[": "\\\(scalars[index])"
      case "&": "&amp;"
      // Within a word an underscore is one: kda_gate.
      case "_" where !(isWord(index - 1) && isWord(index + 1)): "\\_"
      case let other: String(other)
      }
    }.joined()
  }
}

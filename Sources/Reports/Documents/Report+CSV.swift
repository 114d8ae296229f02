// SPDX-License-Identifier: Apache-2.0

import JSON
import TensorCore

extension Report {
  /// The table with the most detail: the last one that programs get.
  package var mainTable: ReportTable? {
    tables.last { $0.audience != .people }
  }
}

extension ReportTable {
  /// The table as CSV with a line of titles: fields quoted as RFC 4180 has it, lines that end in LF.
  ///
  /// Numbers have all their digits and no unit, like those of JSON; what is missing is empty. Control
  /// characters other than line breaks and tabs are escaped: a name from a file must not move the cursor.
  package var csv: String {
    let shown = columns(for: .programs)
    let titles = shown.map { Self.field(columns[$0].path) }
    let lines = rows.map { row in shown.map { Self.field(row[$0].csv) } }
    return ([titles] + lines).map { $0.joined(separator: ",") + "\n" }.joined()
  }

  /// It goes by scalars: a quote with an accent is one character, and "\r\n" is one, too.
  private static func field(_ text: String) -> String {
    var clean = String.UnicodeScalarView()
    var isQuoted = false
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"":
        clean.append(contentsOf: "\"\"".unicodeScalars)
        isQuoted = true
      case ",", "\n", "\r":
        clean.append(scalar)
        isQuoted = true
      case "\t": clean.append(scalar)
      case _ where scalar.isPrintable: clean.append(scalar)
      default: clean.append(contentsOf: scalar.escapedForm.unicodeScalars)
      }
    }
    return isQuoted ? "\"\(clean)\"" : String(clean)
  }
}

extension Cell {
  /// The value as a field of CSV, not quoted yet.
  fileprivate var csv: String {
    switch value {
    case .missing: ""
    case .text(let text), .structured(_, let text): text
    case .count(let count), .bytes(let count): String(count)
    case .number(let number, _):
      number.isFinite
        ? number.description : number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
    case .histogram(let counts): counts.map(String.init).joined(separator: " ")
    }
  }
}

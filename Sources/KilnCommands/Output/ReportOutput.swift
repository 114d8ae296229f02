// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import JSON
import Reports
import TensorCore

/// Forms in which a result is printed.
enum ResultFormat: String, CaseIterable, ExpressibleByArgument {
  /// Text for people: tables, facts and remarks.
  case table
  /// One document with every figure.
  case json
  /// The table with the most detail.
  case csv
  /// The text as GitHub's Markdown.
  case markdown

  /// Whether only a result that has a table can be printed so.
  var needsTable: Bool { self == .csv || self == .markdown }
}

extension CommonOptions {
  /// Prints a report on standard output, in the form that was asked for.
  ///
  /// - Parameter report: The report.
  /// - Throws: `UsageError` if it has no table and CSV was asked for, or what writing throws.
  func print(_ report: Report) throws {
    switch resultFormat {
    case .table: try StandardOutput.print(report.text(StandardOutput.style(color)))
    case .json: try StandardOutput.print(document: report.json)
    case .csv:
      guard let table = report.mainTable else {
        throw UsageError("--format csv: this result has no table; --format json has its figures")
      }
      try StandardOutput.write(text: table.csv)
    case .markdown: try StandardOutput.print(report.markdown)
    }
  }

  /// Refuses forms of tables for a command whose result is none.
  ///
  /// - Parameter result: What the command prints instead: "one line".
  /// - Throws: A `ValidationError`.
  func checkFormat(ofResultWithoutTable result: String) throws {
    guard resultFormat.needsTable else { return }
    throw ValidationError(
      "--format \(resultFormat.rawValue) is for tables, and the result is \(result);"
        + " --format json has its figures")
  }
}

extension StandardOutput {
  /// The version of the keys of all JSON documents (`Docs/CommandLine.md`): raised when a key goes or
  /// changes its meaning, not when one is added.
  private static let schemaVersion = 1

  /// What the reader of standard output has; pipes and files get lines of any length, in UTF-8.
  static func style(_ color: Terminal.ColorChoice) -> TextStyle {
    let terminal = Terminal.output
    return TextStyle(
      width: terminal.isTerminal ? terminal.width : nil, isColored: terminal.hasColors(color),
      isUnicode: hasUnicode)
  }

  /// Whether characters beyond ASCII reach the reader: everywhere but on a terminal of another encoding.
  private static var hasUnicode: Bool {
    !Terminal.output.isTerminal || Terminal.output.isUTF8
  }

  /// Writes text and a newline.
  static func print(_ text: String) throws {
    try write(text: text + "\n")
  }

  /// Writes text.
  static func write(text: String) throws {
    try write(Array((hasUnicode ? text : text.asASCII).utf8))
  }

  /// Writes a JSON document: these members, after the versions of the tool and of the document's keys.
  static func print(document members: [JSONMember]) throws {
    let head = [JSONMember]([
      "kiln_version": .string(Kiln.version), "schema_version": .integer(schemaVersion),
    ])
    let document = JSONWriter.pretty(.object(head + members))
    try write(hasUnicode ? document : JSONWriter.escapingNonASCII(document))
  }
}

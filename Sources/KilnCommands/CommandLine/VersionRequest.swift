// SPDX-License-Identifier: Apache-2.0

import Reports

/// `kiln --version`, and with `--verbose` what the program is made of and runs on.
struct VersionRequest {
  private let isVerbose: Bool
  private let isJSON: Bool

  /// Reads a command line; nil if it asks for something else.
  ///
  /// - Throws: `UsageError` for words that do not go with `--version`.
  init?(_ arguments: [String]) throws {
    guard arguments.first?.hasPrefix("-") == true, arguments.contains("--version") else {
      return nil
    }
    var (isVerbose, isJSON) = (false, false)
    var words = arguments[...]
    while let word = words.popFirst() {
      switch word {
      case "--version": break
      case "--verbose": isVerbose = true
      case "--json", "--format=json": isJSON = true
      case "--format" where words.first == "json":
        words.removeFirst()
        isJSON = true
      case _ where word.hasPrefix("--format"):
        throw UsageError("--version has --format json alone")
      default: throw UsageError("--version does not go with \"\(word)\"")
      }
    }
    (self.isVerbose, self.isJSON) = (isVerbose, isJSON)
  }

  /// Prints it.
  ///
  /// - Throws: As `StandardOutput.print`.
  func run() throws {
    let report = isVerbose ? VersionReport().report : VersionReport.version
    if isJSON {
      // The version of the tool is in every document.
      try StandardOutput.print(document: report.json)
    } else if isVerbose {
      try StandardOutput.print(report.text(StandardOutput.style(.auto)))
    } else {
      try StandardOutput.print(Kiln.version)
    }
  }
}

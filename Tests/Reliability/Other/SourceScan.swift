// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport

/// R24: no shortcut in the sources that ends the process on bad input; what there is, is explained here.
enum SourceScan {
  static let experiment = Experiment(promises: ["R24"], name: "search of the sources", run: run)

  private static let sources = FilePath(#filePath)
    .removingLastComponent().removingLastComponent().removingLastComponent().removingLastComponent()
    .appending("Sources")

  /// Shortcuts, as regular expressions over lines without comments and texts.
  private static let shortcuts: [(name: String, pattern: String)] = [
    ("try!", #"\btry!"#), ("as!", #"\bas!"#), ("fatalError", #"\bfatalError\("#),
    ("precondition", #"\bprecondition(Failure)?\("#), ("assert", #"\bassert(ionFailure)?\("#),
    ("forced optional", #"[\w\)\]>]!(?!=)"#), ("implicitly unwrapped", #":\s*[\w\.<>\[\]]+!\s*(=|$|\{)"#),
    ("unowned", #"\bunowned\b"#), ("unchecked arithmetic", #"unchecked(Adding|Subtracting|Multiplied)|unsafeBitCast"#),
    ("Int of a floating value", #"\b(U?Int(8|16|32|64)?)\((?=[^)]*(\.rounded|Float|Double|\.squareRoot|log2?\(|exp\(|seconds|\* [0-9]*\.[0-9]))"#),
  ]

  /// What is there and may be: the file, a piece of the line, and why no input reaches it wrongly.
  private static let allowances: [(file: String, piece: String, reason: String)] = [
    ("KilnFormat/KilnWriter.swift", "precondition(", "an error of the program that writes, whose layout is its own"),
    ("Kernels/", "precondition(", "shapes of matrices, compared with the configuration before"),
    ("KimiLinear/Runtime/", "precondition(", "shapes and states that the program makes itself"),
    ("TensorCore/RawSpan+Load.swift", "precondition(", "bounds of a span: the caller has compared them"),
    ("KilnCommands/Interruption.swift", "unsafeBitCast", "a C function pointer compared with SIG_IGN"),
  ]

  private static func run(_: Session) throws -> [Ledger] {
    let files = Ledger("R24", "source files without unexplained shortcuts")
    let explained = Ledger("R24", "shortcuts that an allowance explains")
    let used = Ledger("R24", "allowances that are needed")
    var needed = Set<Int>()
    let expressions = try shortcuts.map { (name: $0.name, expression: try NSRegularExpression(pattern: $0.pattern)) }
    for name in try Files.listing(sources) where name.hasSuffix(".swift") {
      let text = String(decoding: try Files.read(sources.appending(name)), as: UTF8.self)
      var problems: [String] = []
      for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        let code = code(of: String(line))
        for (kind, expression) in expressions {
          let range = NSRange(code.startIndex..., in: code)
          guard expression.firstMatch(in: code, range: range) != nil else { continue }
          let allowance = allowances.firstIndex { name.hasPrefix($0.file) && line.contains($0.piece) }
          if let allowance {
            needed.insert(allowance)
            explained.record(nil, "")
          } else {
            problems.append("line \(number + 1), \(kind): \(line.drop { $0 == " " })")
          }
        }
      }
      files.record(problems.isEmpty ? nil : problems.joined(separator: "; "), name)
    }
    for (index, allowance) in allowances.enumerated() {
      used.record(needed.contains(index) ? nil : "explains nothing", "\(allowance.file): \(allowance.piece)")
    }
    return [files, explained, used]
  }

  /// A line without its comment and without what stands between quotes, but for what is put into the text.
  private static func code(of line: String) -> String {
    var result = ""
    var isText = false
    var previous: Character = " "
    for character in line {
      if character == "\"", previous != "\\" { isText.toggle() }
      if !isText, character == "/", previous == "/" { return String(result.dropLast()) }
      if !isText { result.append(character) }
      previous = character
    }
    return result
  }
}

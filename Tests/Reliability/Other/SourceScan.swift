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
    ("forced optional", #"[\w\)\]>]!(?!=)"#),
    ("implicitly unwrapped", #":\s*[\w\.<>\[\]]+!\s*(=|$|\{)"#),
    ("unowned", #"\bunowned\b"#),
    ("unchecked arithmetic", #"unchecked(Adding|Subtracting|Multiplied)|unsafeBitCast"#),
    // Names that stand for floating values; a search knows no types.
    (
      "Int of a floating value",
      #"\bU?Int(8|16|32|64)?\((?!exactly|truncating|clamping|bitPattern)(?=[^)]*(rounded|Float|Double|squareRoot|\blog2?\(|\bexp\(|[sS]econd|\brate|\bshare|\bplace\)|quotient|Swift\.m|fraction|ratio|[0-9]\.[0-9]))"#
    ),
  ]

  /// What is there and may be: the file, a piece of the line, and why no input reaches it wrongly.
  private static let allowances: [(file: String, piece: String, reason: String)] = [
    (
      "KilnFormat/KilnWriter.swift", "precondition(",
      "an error of the program that writes, whose layout is its own"
    ),
    (
      "Calibration/", "precondition",
      "encodings and shapes that the plan has compared"
    ),
    (
      "Quantization/Calibrated/CalibratedRounding.swift", "precondition",
      "encodings and shapes that the plan has compared"
    ),
    (
      "Evaluation/Comparison/", "precondition(", "vocabularies that the run has compared before"
    ),
    (
      "Inspection/Comparison/ModelComparison.swift", "Int(Double(candidate.byteCount) * share)",
      "a share of at most 1 of the size of a mapped file"
    ),
    ("Kernels/", "precondition(", "shapes of matrices, compared with the configuration before"),
    (
      "TensorCore/BlockReader.swift", "precondition(",
      "room that the caller has made for the region"
    ),
    (
      "Benchmarking/Measurement.swift", "precondition(", "an error of the program that measures"
    ),
    (
      "KilnCommands/Bench/BenchReport+Text.swift", "Int(result.tokensPerSecond)",
      "tokens a second, of work that took time"
    ),
    (
      "KimiLinear/Decoding/Decoder+State.swift", "precondition",
      "a context that the caller has decoded itself"
    ),
    (
      "TensorCore/MappedRegion.swift", "precondition(",
      "readers have compared the range with the file"
    ),
    (
      "Quantization/RowQuantizer.swift", "precondition",
      "callers decide by the encoding, and make the room"
    ),
    (
      "TensorCore/RawSpan+Load.swift", "precondition(",
      "bounds of a span: the caller has compared them"
    ),
    (
      "KilnCommands/Interruption.swift", "unsafeBitCast",
      "a C function pointer compared with SIG_IGN"
    ),
    (
      "KilnCommands/Output/ProgressPrinter.swift", "Int(rate)",
      "bytes or tokens a second, of work that took time"
    ),
    ("KilnCommands/Output/ProgressPrinter.swift", "Int(share", "completed of total, 0 to 1"),
    (
      "KilnCommands/Output/Quantities.swift", "Int(seconds.rounded())",
      "finite and below 1e9: the line before"
    ),
    (
      "KilnCommands/Output/PerplexityReport.swift", "Int(summary.tokensPerSecond)",
      "tokens a second, of work that took time"
    ),
    (
      "Inspection/TensorStatistics.swift", "Int(place)",
      "a finite value over the width of a bin: 0 to their number"
    ),
    (
      "Quantization/CodeRange.swift", "Int32(Swift.min",
      "not NaN, and clamped to the range of codes"
    ),
  ]

  private static func run(_: Session) throws -> [Ledger] {
    let files = Ledger("R24", "source files without unexplained shortcuts")
    let explained = Ledger("R24", "shortcuts that an allowance explains")
    let used = Ledger("R24", "allowances that are needed")
    var needed = Set<Int>()
    let expressions = try shortcuts.map {
      (name: $0.name, expression: try NSRegularExpression(pattern: $0.pattern))
    }
    for name in try Files.listing(sources) where name.hasSuffix(".swift") {
      let text = String(decoding: try Files.read(sources.appending(name)), as: UTF8.self)
      var problems: [String] = []
      for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
        .enumerated()
      {
        let code = code(of: String(line))
        for (kind, expression) in expressions {
          let range = NSRange(code.startIndex..., in: code)
          guard expression.firstMatch(in: code, range: range) != nil else { continue }
          let allowance = allowances.firstIndex {
            name.hasPrefix($0.file) && line.contains($0.piece)
          }
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
      used.record(
        needed.contains(index) ? nil : "explains nothing", "\(allowance.file): \(allowance.piece)")
    }
    return [files, explained, used]
  }

  /// A line without its comment and without what stands between quotes, but for what is put into the text.
  private static func code(of line: String) -> String {
    var result = ""
    // For each text that is open, the brackets that are open in what is put into it; nil in the text itself.
    var texts: [Int?] = []
    var previous: Character = " "
    for character in line {
      defer { previous = previous == "\\" && character == "\\" ? " " : character }
      if let brackets = texts.last, brackets == nil {
        if character == "\"", previous != "\\" { texts.removeLast() }
        if character == "(", previous == "\\" { texts[texts.count - 1] = 0 }
        continue
      }
      if character == "/", previous == "/" { return String(result.dropLast()) }
      if character == "\"" {
        texts.append(nil)
      } else if let last = texts.last, let brackets = last {
        let open = brackets + (character == "(" ? 1 : character == ")" ? -1 : 0)
        texts[texts.count - 1] = open < 0 ? Int?.none : open
      }
      result.append(character)
    }
    return result
  }
}

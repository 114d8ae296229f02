// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import TestSupport

/// Tries the promises of the reliability page for minutes, and prints how often each was kept.
@main
struct Reliability: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Try the reliability promises (Docs/Reliability.md) and print a table.")

  @Option(help: "Only these promises, such as R8,R9.")
  var only: String?

  @Option(help: "Share of the full numbers to try, such as 0.1.")
  var scale = 1.0

  @Option(help: "Seed of all random choices.")
  var seed: UInt64 = 0x4B49_4C4E

  @Option(help: "Processes to run at a time; default: as many as there are cores.")
  var jobs = ProcessInfo.processInfo.activeProcessorCount

  @Option(help: "The program to test; default: kiln beside this program.")
  var kiln: String?

  func run() throws {
    let wanted = only.map { Set($0.split(separator: ",").map(String.init)) }
    let experiments = Experiment.all.filter { experiment in
      wanted.map { !$0.isDisjoint(with: experiment.promises) } ?? true
    }
    guard !experiments.isEmpty else { throw ValidationError("--only names no promise") }
    print("seed \(seed), scale \(scale), \(jobs) at a time")
    let ledgers = try TemporaryFolder.with { folder in
      let session = try Session(
        kiln: kiln ?? Self.kilnBesideThis, seed: seed, scale: scale, jobs: jobs, folder: folder)
      return try experiments.flatMap { try Self.perform($0, session) }
    }
    let shown = ledgers.filter { wanted?.contains($0.promise) ?? true }
    print(Report.table(shown))
    guard shown.allSatisfy(\.isKept) else { throw ExitCode.failure }
  }

  private static func perform(_ experiment: Experiment, _ session: Session) throws -> [Ledger] {
    let start = ContinuousClock.now
    do {
      let ledgers = try experiment.run(session)
      let seconds = (ContinuousClock.now - start).components.seconds
      Console.write(
        "\(experiment.promises.joined(separator: " ")) \(experiment.name): \(seconds) s")
      return ledgers
    } catch {
      // Others can still be tried; this one counts as not held.
      let ledger = Ledger(experiment.promises[0], experiment.name)
      ledger.record("\(error)", "the experiment itself")
      return [ledger]
    }
  }

  private static var kilnBesideThis: String {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return own.deletingLastPathComponent().appendingPathComponent("kiln").path
  }
}

/// One topic: some promises and how they are tried.
struct Experiment: Sendable {
  /// The promises that its ledgers are about.
  let promises: [String]
  /// What it is called in messages.
  let name: String
  /// Tries them.
  let run: @Sendable (Session) throws -> [Ledger]
}

/// The table.
enum Report {
  /// A Markdown table, promises in their order.
  static func table(_ ledgers: [Ledger]) -> String {
    func number(_ ledger: Ledger) -> Int { Int(ledger.promise.drop { !$0.isNumber }) ?? 0 }
    let rows = ledgers.enumerated().sorted {
      (number($0.element), $0.offset) < (number($1.element), $1.offset)
    }.map { _, ledger in
      let tried = ledger.tried + (ledger.note.map { " (\($0))" } ?? "")
      let mark = ledger.isKept ? "" : " **not held**"
      return [ledger.promise, tried, grouped(ledger.count), grouped(ledger.held) + mark]
    }
    let cells = [["promise", "what was tried", "tried", "held"]] + rows
    let widths = (0..<4).map { column in cells.map { $0[column].count }.max() ?? 0 }
    var lines = cells.map { row in
      "| "
        + row.enumerated().map { column, text in
          let space = String(repeating: " ", count: widths[column] - text.count)
          return column < 2 ? text + space : space + text
        }.joined(separator: " | ") + " |"
    }
    let rule = widths.enumerated().map { column, width in
      String(repeating: "-", count: width + 1) + (column < 2 ? "-" : ":")
    }
    lines.insert("|\(rule.joined(separator: "|"))|", at: 1)
    return lines.joined(separator: "\n")
  }

  /// 10000 as 10,000.
  private static func grouped(_ number: Int) -> String {
    var digits = String(number)
    var end = digits.endIndex
    while digits.distance(from: digits.startIndex, to: end) > 3 {
      end = digits.index(end, offsetBy: -3)
      digits.insert(",", at: end)
    }
    return digits
  }
}

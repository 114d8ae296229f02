// SPDX-License-Identifier: Apache-2.0

import Synchronization
import SystemPackage
import TestSupport
import Testing

/// What `--help` of each command prints.
final class HelpPages: Sendable {
  static let shared = HelpPages()
  private let pages = Mutex<[String: String?]>([:])

  /// The help of a command; nil if there is no such command.
  ///
  /// - Throws: If the tool cannot be started.
  func page(of command: String) throws -> String? {
    if let known = pages.withLock({ $0[command] }) { return known }
    let outcome = try ToolProcess(ToolProcess.kiln.string, [command, "--help"]).wait()
    let page = outcome.status == 0 ? outcome.text : nil
    pages.withLock { $0[command] = page }
    return page
  }
}

/// The examples with which the help of each command opens are run as they stand.
@Suite struct HelpTests {
  static let commands = [
    "inspect", "convert", "calibrate", "quantize", "verify", "perplexity", "generate", "tokenize",
    "bench",
  ]

  /// The lines behind EXAMPLES, up to the first empty one.
  static func examples(of command: String) throws -> [String] {
    let help = try #require(try HelpPages.shared.page(of: command))
    let lines = help.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let start = try #require(lines.firstIndex { $0.hasSuffix("EXAMPLES") })
    return Array(lines[(start + 1)...].prefix { !$0.allSatisfy(\.isWhitespace) })
  }

  @Test(arguments: commands)
  func examples(of command: String) throws {
    let lines = try Self.examples(of: command)
    // The help is wrapped at the width of the terminal: a longer example could not be copied.
    for line in lines {
      #expect(line.hasPrefix("  "), "kiln \(command) --help: wrapped at \(line)")
    }
    let steps = Transcript(script: lines.map { String($0.drop(while: \.isWhitespace)) }).steps
    #expect(steps.count >= 2)
    guard command != "bench" || Workbench.runsSlowExamples else { return }
    try TemporaryFolder.with { temporary in
      let workbench = try Workbench.make(in: temporary, for: lines)
      for step in steps {
        // jq need not be installed.
        let runnable = step.command.split(separator: "| jq")[0]
        try workbench.expectSuccess("\(runnable)", at: "kiln \(command) --help:")
      }
    }
  }
}

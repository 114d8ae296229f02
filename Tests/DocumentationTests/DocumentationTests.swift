// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Every command that a page shows is run as a reader would run it, and what it prints is what the page shows.
@Suite struct DocumentationTests {
  @Test(arguments: DocumentationPage.all)
  func commands(of page: DocumentationPage) throws {
    let blocks = page.blocks.filter { ["sh", "console"].contains($0.language) }
    guard !blocks.isEmpty else { return }
    try TemporaryFolder.with { temporary in
      let workbench = try Workbench.make(
        in: temporary, for: blocks.filter { $0.canBeRun }.flatMap(\.lines))
      for block in blocks {
        let place = "\(page.name):\(block.firstLine):"
        let steps = block.transcript.steps
        #expect(!steps.isEmpty, "\(place) a block without commands")
        for step in steps {
          if let problem = try problem(with: step, of: block, on: workbench) {
            Issue.record("\(place) \(step.command): \(problem)")
          }
        }
      }
    }
  }

  /// What is wrong with a command or its output; nil if nothing is, or if it cannot be run here.
  private func problem(
    with step: Transcript.Step, of block: DocumentationPage.Block, on workbench: Workbench
  ) throws -> String? {
    guard block.canBeRun else { return nil }
    // Tests do not run tests, but a target must be there, and its recipe must expand.
    if step.command.hasPrefix("make ") {
      let words = step.command.split(separator: "#")[0]
      let outcome = try workbench.run(
        "\(words) --dry-run --directory '\(DocumentationPage.path("."))' > /dev/null")
      return outcome.status == 0 ? nil : outcome.text
    }
    let outcome = try workbench.run(step.command)
    guard outcome.status == 0 else { return "exit code \(outcome.status): \(outcome.text)" }
    guard let output = step.output else { return nil }
    let found = outcome.text.split(separator: "\n", omittingEmptySubsequences: false)
      .map(String.init)
    return ShownOutput(lines: output).mismatch(with: found.last == "" ? found.dropLast() : found)
  }

  /// Options that pages name in passing exist.
  @Test(arguments: DocumentationPage.all)
  func quotedOptions(of page: DocumentationPage) throws {
    for command in page.quotedCommands {
      let words = command.split { " |`'\"[],".contains($0) }.map(String.init)
      guard words.count > 1, let help = try HelpPages.shared.page(of: words[1]) else {
        if words.count > 1, words[1].allSatisfy({ $0.isLowercase }) {
          Issue.record("\(page.name): `\(command)`: there is no command \"\(words[1])\"")
        }
        continue
      }
      for word in words where word.hasPrefix("--") {
        let name = word.split(separator: "=")[0]
        #expect(
          help.split { !($0.isLetter || $0 == "-") }.contains(name),
          "\(page.name): `\(command)`: kiln \(words[1]) has no \(name)")
      }
    }
  }
}

extension DocumentationPage.Block {
  /// Its commands.
  var transcript: Transcript {
    language == "console" ? Transcript(console: lines) : Transcript(script: lines)
  }

  /// Whether it is fast enough, and what it needs is there: the data that are too large for the repository.
  var canBeRun: Bool {
    if isSlow, !Workbench.runsSlowExamples { return false }
    return SharedData.folder != nil
      || !lines.contains { line in ["mini", "shared"].contains { line.contains($0) } }
  }
}

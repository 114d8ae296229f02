// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Inspection
import JSON
import KimiLinear
import SystemPackage
import TensorCore

/// `kiln verify`: every checksum and every invariant.
struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check every checksum and every invariant of a checkpoint.",
    discussion: """
      EXAMPLES
        kiln verify model.kiln
        kiln verify checkpoint/ --json

      Reads every byte. Exit code 0 if all is well, 2 if something is damaged.
      """)

  @OptionGroup var model: ModelArgument
  @OptionGroup var common: CommonOptions

  func run() throws {
    let checked: CheckedCheckpoint
    do {
      let checkpoint = try Checkpoint(model.model)
      common.warn(checkpoint.warnings)
      checked = try CheckedCheckpoint(checkpoint)
      common.warn(checked.unknownWarnings)
      try Inputs.checkTokenizer(checked, common)
    } catch let error as any KilnError where error.category == .badData {
      // What cannot even be opened is damaged, too: the check ran, and this is its result.
      try report([Verification.Finding(error)], tensors: 0, bytes: 0)
      return
    }
    let printer = common.progressPrinter()
    let verification = Verification(checked, workers: common.workers, progress: printer.show)
    printer.finish()
    try report(
      verification.findings, tensors: verification.tensorCount, bytes: verification.byteCount)
  }

  private func report(
    _ findings: [Verification.Finding], tensors: Int, bytes: Int
  ) throws {
    if common.json {
      try StandardOutput.print(json: [
        "path": .string(model.model.string),
        "sound": .bool(findings.isEmpty),
        "tensors": .integer(tensors),
        "bytes": .integer(bytes),
        "findings": .array(
          findings.map {
            ["subject": .string($0.subject), "problem": .string($0.problem)]
          }),
      ])
    } else if findings.isEmpty {
      try StandardOutput.print(
        "\(model.model.string.asOneLine): sound, \(Quantities.grouped(tensors)) tensors,"
          + " \(Quantities.bytes(bytes))")
    } else {
      for finding in findings {
        try StandardOutput.print("\(finding.subject): \(finding.problem)".asOneLine)
      }
    }
    if !findings.isEmpty {
      StandardError.print(
        "kiln: \(model.model): \(findings.count) findings".asOneLine)
      throw ExitCode(ExitStatus.checkFailed.rawValue)
    }
  }
}

extension Verification.Finding {
  /// What was found when the checkpoint could not be opened.
  fileprivate init(_ error: any KilnError) {
    self.init(subject: "checkpoint", problem: error.description)
  }
}

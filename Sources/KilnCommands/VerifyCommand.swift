// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Inspection
import JSON
import KimiLinear
import Reports
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
        kiln verify model.kiln --against checkpoint/

      Reads every byte. Exit code 0 if all is well, 2 if something is damaged.
      With --against, tells instead whether both hold the same model, tensor by
      tensor: identical, equal, within what rounding permits, or different. Exit
      code 2 if they differ.
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    help: ArgumentHelp(
      "Compare with this checkpoint: a folder, a .safetensors file or .kiln files.",
      valueName: "model"),
    completion: .file(), transform: { FilePath(argument: $0) })
  var against: FilePath?

  @OptionGroup var common: CommonOptions

  func run() throws {
    if let against {
      try compare(with: against)
    } else {
      try verify()
    }
  }

  private func compare(with other: FilePath) throws {
    let (left, right) = (
      try Checkpoint(model.model, workers: common.workers),
      try Checkpoint(other, workers: common.workers)
    )
    common.warn(left.warnings + right.warnings)
    let printer = common.progressPrinter()
    let comparison = try ModelComparison(
      left, right, workers: common.workers, progress: printer.show)
    printer.finish()
    let report = ComparisonReport(comparison, left: model.model, right: other)
    try common.print(report.report)
    guard comparison.isSame else {
      StandardError.print(report.problem.asOneLine)
      throw ExitCode(ExitStatus.checkFailed.rawValue)
    }
  }

  private func verify() throws {
    let checkpoint: Checkpoint
    do {
      checkpoint = try Checkpoint(model.model, workers: common.workers)
    } catch let error as any KilnError where error.category == .badData {
      // What cannot even be opened is damaged, too: the check ran, and this is its result.
      try report([Verification.Finding(subject: "structure", problem: error.description)])
      return
    }
    common.warn(checkpoint.warnings)
    let printer = common.progressPrinter()
    let verification = try Verification(
      checkpoint, workers: common.workers, progress: printer.show)
    printer.finish()
    common.warn(verification.model?.unknownWarnings ?? [])
    try report(
      verification.findings + tokenizerFindings(checkpoint, verification.model),
      tensors: verification.tensorCount, bytes: verification.byteCount)
  }

  private func tokenizerFindings(
    _ checkpoint: Checkpoint, _ model: CheckedCheckpoint?
  ) -> [Verification.Finding] {
    guard checkpoint.hasFile("tiktoken.model") else { return [] }
    do {
      _ = try model?.tokenizer() ?? checkpoint.tokenizer(vocabularySize: nil)
      return []
    } catch {
      return [Verification.Finding(subject: "tokenizer", problem: "\(error)")]
    }
  }

  private func report(
    _ findings: [Verification.Finding], tensors: Int = 0, bytes: Int = 0
  ) throws {
    let lines =
      findings.isEmpty
      ? [
        Note(
          "\(model.model.string.asOneLine): sound, \(Quantities.grouped(tensors)) tensors,"
            + " \(Quantities.bytes(bytes))", tone: .good)
      ] : findings.map { Note("\($0.subject): \($0.problem)", tone: .bad) }
    try common.print(
      Report([
        .fields(
          [JSONMember]([
            "path": .string(model.model.string), "sound": .bool(findings.isEmpty),
            "tensors": .integer(tensors), "bytes": .integer(bytes),
          ])),
        .notes(lines),
        .table(
          ReportTable(
            "findings", for: .programs, rows: findings,
            columns: [
              .data("subject") { .text($0.subject) }, .data("problem") { .text($0.problem) },
            ])),
      ]))
    if !findings.isEmpty {
      StandardError.print(
        "kiln: \(model.model): \(findings.count) \(findings.count == 1 ? "finding" : "findings")"
          .asOneLine)
      throw ExitCode(ExitStatus.checkFailed.rawValue)
    }
  }
}

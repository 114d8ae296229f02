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
        kiln verify model.kiln --against checkpoint/ --require identical
        kiln verify int4.kiln --against checkpoint/ --require bound

      Reads every byte. Exit code 0 if all is well, 2 if something is damaged.

      With --against, compares two models instead, tensor by tensor. The verdicts:
        identical  same encodings, bytes, configuration and tokenizer
        equal      same values, in another encoding or layout
        bound      one is a rounding of the other: quantized values within the bound
                   of their scheme, all others equal
        different  anything else
      Exit code 0 if the verdict is at least what --require asks for, else 2.
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    help: ArgumentHelp(
      "Compare with this checkpoint: a folder, a .safetensors file or .kiln files.",
      valueName: "model"),
    completion: .file(), transform: InputPath.read)
  var against: FilePath?

  @Option(
    help: ArgumentHelp(
      "With --against, the loosest verdict to accept: identical, equal or bound.",
      discussion: "Default: equal.", valueName: "verdict"))
  var require: RequiredVerdict?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if require != nil, against == nil {
      throw ValidationError("--require needs --against")
    }
  }

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
    for checkpoint in [left, right] { try checkpoint.checkIsModel() }
    common.warn(left.warnings + right.warnings)
    let printer = common.progressPrinter()
    let comparison = try ModelComparison(
      left, right, workers: common.workers, progress: printer.show)
    printer.finish()
    let report = ComparisonReport(
      comparison: comparison, left: model.model, right: other,
      required: (require ?? .equal).verdict)
    try common.print(report.report)
    guard report.isMet else {
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
    if let model = verification.model {
      common.warn(
        model.unknownWarnings + model.obstacles.map { "\($0); Kiln will not run this model" })
    }
    try report(
      verification.fileFindings + verification.modelFindings
        + tokenizerFindings(checkpoint, verification) + verification.tensorFindings,
      tensors: verification.tensorCount, bytes: verification.byteCount)
  }

  private func tokenizerFindings(
    _ checkpoint: Checkpoint, _ verification: Verification
  ) -> [Verification.Finding] {
    let files = ["tiktoken.model", "tokenizer_config.json"]
    // What is no tokenizer at all has been told.
    guard checkpoint.hasFile("tiktoken.model"),
      !verification.fileFindings.contains(where: { files.contains($0.subject) })
    else { return [] }
    do {
      _ = try verification.model?.tokenizer() ?? checkpoint.tokenizer(vocabularySize: nil)
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
          "\(model.model.string.asOneLine): sound, \(Quantities.counted(tensors, "tensor")),"
            + " \(Quantities.bytes(bytes))", tone: .good)
      ] : FindingList.lines(findings) { Note("\($0.subject): \($0.problem)", tone: .bad) }
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

/// What `--require` can ask for.
enum RequiredVerdict: String, CaseIterable, ExpressibleByArgument {
  case identical
  case equal
  case bound

  /// The loosest verdict that meets it.
  var verdict: ModelComparison.Verdict {
    switch self {
    case .identical: .identical
    case .equal: .equal
    case .bound: .bound
    }
  }
}

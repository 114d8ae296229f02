// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Inspection
import JSON
import KimiLinear
import Reports
import SystemPackage
import TensorCore

/// `kiln inspect`: what is in a checkpoint.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a checkpoint holds: architecture, sizes, tensors, statistics.",
    discussion: """
      EXAMPLES
        kiln inspect checkpoint/
        kiln inspect model.kiln --tensors --filter '*.layers.3.*'
        kiln inspect checkpoint/ --stats --filter '*experts.0.*'
        kiln inspect model.kiln --json | jq .parameters
      """,
    aliases: ["ls"])

  @OptionGroup var model: ModelArgument

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "List every tensor with statistics of its values.")
  var stats = false

  @Option(
    help: ArgumentHelp(
      "Only tensors whose name matches.",
      discussion: "With * and ? a pattern for the whole name, else a part of it.",
      valueName: "pattern"))
  var filter: String?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if filter != nil, !tensors, !stats {
      throw ValidationError("--filter needs --tensors or --stats")
    }
  }

  func run() throws {
    let checkpoint = try Checkpoint(model.model, workers: common.workers)
    common.warn(checkpoint.warnings)
    let checked = try describe(checkpoint)
    if let checked {
      common.warn(
        try checked.unknownWarnings + checked.obstacleWarnings(workers: common.workers))
      let others = checked.unknownKeys.others
      if !others.isEmpty {
        common.note([
          "\(checked.unknownKeys.file): keys that Kiln does not know, and that do not look as if they"
            + " mattered: " + others.prefix(10).map(\.path).joined(separator: ", ")
            + (others.count > 10 ? " and \(others.count - 10) more" : "")
        ])
      }
    }
    let listing = try TensorListing(
      checkpoint, checked: checked, filter: filter, isListed: tensors || stats,
      hasStatistics: stats, workers: common.workers, progress: common.progressPrinter())
    if let filter, listing.isEmpty { common.warn(["no tensor matches \"\(filter)\""]) }
    var report = Report([.notes([header(checkpoint)])])
    if let checked { report.append(Report(SummaryReport(checked).blocks)) }
    if tensors || stats || checked == nil { report.append(.table(listing.table)) }
    try common.print(report)
  }

  /// The checkpoint with its architecture; nil where there is none to be seen, but tensors to list.
  private func describe(_ checkpoint: Checkpoint) throws -> CheckedCheckpoint? {
    // A lone file of tensors need not have one, nor a saved base; a folder without is not complete.
    if checkpoint.kind == .safetensors || checkpoint.isWithoutModel,
      !checkpoint.hasFile("config.json")
    {
      return nil
    }
    do {
      return try CheckedCheckpoint(checkpoint)
    } catch let error as ModelError where checkpoint.kind == .safetensors {
      // One shard of many beside its configuration: its tensors are of interest all the same.
      common.warn(["\(error.description); only the tensors of this file are shown"])
      return nil
    }
  }

  private func header(_ checkpoint: Checkpoint) -> Note {
    let bytes = checkpoint.dataFiles.reduce(0) { $0 + $1.byteCount }
    let count = checkpoint.dataFiles.count
    let files = count == 1 ? "" : ", \(count) files of tensors"
    return Note(
      "\(checkpoint.path.string.asOneLine): \(checkpoint.kind.rawValue)\(files), "
        + Quantities.bytes(bytes),
      [
        "path": .string(checkpoint.path.string), "kind": .string(checkpoint.kind.rawValue),
        "files": .integer(count), "file_bytes": .integer(bytes),
      ])
  }
}

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
        kiln inspect model.kiln --filter '*.layers.3.*'
        kiln inspect checkpoint/ --role router,kda_gate --layer 0-3
        kiln inspect checkpoint/ --sort absmax --limit 10
        kiln inspect model.kiln --json | jq .parameters

      Any safetensors or .kiln file can be shown, of any model family, and folders of
      which files are missing. What is foreign is shown by its tensors, with exit code
      0; what is malformed or incomplete as well, with the code of the error.
      """,
    aliases: ["ls"])

  @OptionGroup var model: ModelArgument

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "List every tensor with statistics of its values.")
  var stats = false

  @OptionGroup(title: "Tensors (each of these lists them)") var selection: SelectionOptions

  @OptionGroup var common: CommonOptions

  /// Tensors of an unknown architecture that are listed without being asked for.
  private static let shownWithoutRequest = 20

  func run() throws {
    let inspected = try InspectedCheckpoint(model.model, workers: common.workers)
    let checkpoint = inspected.checkpoint
    common.warn(checkpoint.warnings + checkpoint.foreignFileWarnings + inspected.notes)
    var report = Report([.notes([header(checkpoint)])])
    switch inspected.content {
    case .model(let checked):
      common.warn(
        try checked.unknownWarnings + checked.obstacleWarnings(workers: common.workers))
      common.note(checked.unknownKeyNotes)
      report.append(Report(SummaryReport(checked).blocks))
    case .savedBase(let base):
      report.append(.facts(SavedResultReport(checkpoint: checkpoint).facts(base)))
    case .savedCalibration(let calibration):
      report.append(.facts(SavedResultReport(checkpoint: checkpoint).facts(calibration)))
    case .tensors:
      report.append(Report(ContentReport(inspected).blocks))
    }
    report.append(Report(try OriginReport(inspected: inspected).blocks()))
    report.append(try list(inspected))
    if let problem = inspected.problem {
      report.append(.fields([JSONMember(key: "problem", value: .string(problem.description))]))
    }
    try common.print(report)
    if let problem = inspected.problem { throw problem }
  }

  // MARK: - Tensors

  private func list(_ inspected: InspectedCheckpoint) throws -> Report {
    let isAsked = tensors || stats || selection.isGiven
    if case .model = inspected.content, !isAsked { return Report() }
    let (column, selected) = (try selection.column(), try selection.selection())
    let all = inspected.tensors
    let listing = try TensorListing(
      all,
      TensorListing.Request(
        selection: selected, column: column, isReversed: selection.reverse,
        limit: selection.limit, hasStatistics: stats || column?.isStatistic == true),
      workers: common.workers, progress: common.progressPrinter())
    if isAsked, listing.isEmpty {
      common.warn([EmptySelection(selection: selected, tensors: all).text])
    }
    if let column, listing.isOrderedByNothing {
      common.warn([
        "--sort \(column.rawValue): no tensor has a value to order by, so it changes nothing"
      ])
    }
    guard !isAsked else {
      var report = Report([.table(listing.table())])
      if listing.omittedCount > 0 {
        report.append(
          .notes([
            Note(
              "… and \(Quantities.grouped(listing.omittedCount)) more",
              ["tensors_omitted": .integer(listing.omittedCount)])
          ]))
      }
      return report
    }
    var report = Report([
      .table(listing.table(shownCount: Self.shownWithoutRequest, for: .people)),
      .table(listing.table(for: .programs)),
    ])
    let rest = all.count - Self.shownWithoutRequest
    if rest > 0 {
      report.append(.notes([Note("… and \(Quantities.grouped(rest)) more; --tensors lists all")]))
    }
    return report
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

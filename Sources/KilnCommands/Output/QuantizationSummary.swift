// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Conversion
import JSON
import Kernels
import Quantization
import Reports
import SystemPackage
import TensorCore

/// What a quantization will do or has done, by role.
struct QuantizationSummary {
  /// The tensors of one role.
  private struct Row {
    var tensors = 0
    var parameters = 0
    var sourceBytes = 0
    var bytes = 0
    var encodings: [String: Int] = [:]
    var statistics = QuantizationStatistics()
    /// The relative error of the outputs on the calibration text; nil if it is not known.
    var outputError: Double?
    var weightError: Double? { statistics.measuredError }
    var bitsPerWeight: Double { parameters == 0 ? 0 : Double(bytes) * 8 / Double(parameters) }
  }

  private let plan: PackingPlan
  private let report: Packing.Report?
  private var statistics: [QuantizationStatistics]? { report?.statistics }
  private let rules: RecipeCheck
  private let output: FilePath
  private let workers: Workers
  private var rows: [(role: TensorRole, row: Row)] = []
  private var total = Row()

  /// - Parameters:
  ///   - plan: The plan.
  ///   - report: What was measured; nil before the work.
  ///   - rules: What the rules of the recipe do.
  ///   - output: The packed file.
  ///   - workers: Threads that would be used, for the estimate of memory.
  init(
    _ plan: PackingPlan, report: Packing.Report?, rules: RecipeCheck, output: FilePath,
    workers: Workers
  ) {
    self.plan = plan
    self.report = report
    self.rules = rules
    self.output = output
    self.workers = workers
    var byRole: [TensorRole: Row] = [:]
    for (index, item) in plan.items.enumerated() {
      let statistics = report?.statistics[index] ?? QuantizationStatistics()
      Self.add(item, statistics, to: &byRole[item.role, default: Row()])
      Self.add(item, statistics, to: &total)
    }
    for (role, error) in report?.evidence?.outputErrors ?? [:] {
      byRole[role]?.outputError = error.relative
    }
    rows = TensorRole.allCases.compactMap { role in byRole[role].map { (role, $0) } }
  }

  private static func add(
    _ item: PackingPlan.Item, _ statistics: QuantizationStatistics, to row: inout Row
  ) {
    row.tensors += 1
    row.parameters += item.stored.shape.elementCount
    row.sourceBytes += item.stored.byteCount
    row.bytes += item.byteCount
    row.encodings[item.encoding.description, default: 0] += 1
    row.statistics = row.statistics + statistics
  }

  /// Tensors that are not finite, with their names and counts.
  var warnings: [String] {
    guard let statistics else { return [] }
    return zip(plan.items, statistics).compactMap { item, statistics in
      guard statistics.nanCount + statistics.infinityCount > 0 else { return nil }
      return "tensor \"\(item.stored.name)\" has \(statistics.nanCount) NaN and"
        + " \(statistics.infinityCount) infinite values; "
        + (item.isQuantizedNow ? "NaN became 0, infinities the largest code" : "they were kept")
    }
  }

  // MARK: - Report

  /// The whole result.
  ///
  /// - Parameter allocation: How the schemes were chosen; nil if they were given.
  /// - Returns: The report, whose most detailed table has a row for each tensor.
  func report(_ allocation: SchemeAllocation?) -> Report {
    var report = Report([.fields(fields)])
    report.append(
      allocation.map { .table($0.table) }
        ?? .fields([JSONMember(key: "allocation", value: .null)]))
    report.append(.table(roleTable))
    report.append(notes: notes.map { Note($0) })
    report.append(.notes(conclusion))
    report.append(.table(tensorTable))
    return report
  }

  private var fields: [JSONMember] {
    let error: JSONValue = total.weightError.map { .number($0) } ?? .null
    let warnings: [JSONValue] = rules.problems.map { .string($0) }
    let sizes = [JSONMember]([
      "output": .string(output.string),
      "dry_run": .bool(statistics == nil),
      "file_bytes": .integer(fileByteCount),
      "files": .integer(report?.fileCount ?? plan.shardCount),
      "resumed_tensors": .integer(report?.resumedTensorCount ?? 0),
      "tensor_bytes": .integer(total.bytes),
      "source_bytes": .integer(total.sourceBytes),
      "parameters": .integer(total.parameters),
      "bits_per_weight": .number(total.bitsPerWeight),
    ])
    let findings = [JSONMember]([
      "relative_error": error,
      "weight_error": error,
      "rules": rules.json,
      "warnings": .array(warnings),
      "peak_memory_bytes_estimate": .integer(plan.peakMemoryByteCount(workers: workers)),
      "calibration": calibrationJSON(report?.evidence),
    ])
    return sizes + findings
  }

  /// What was measured and what was written.
  private var conclusion: [Note] {
    var lines: [String] = []
    if let evidence = report?.evidence {
      lines += CalibrationReport(calibrationJSON(evidence)).lines(withErrors: false)
        .map { "calibration: \($0)" }
    }
    let verb = statistics == nil ? "would write" : "wrote"
    lines.append(
      "\(verb) \(output.string.asOneLine): \(fileText) from"
        + " \(Quantities.bytes(total.sourceBytes)) of weights,"
        + " \(total.bitsPerWeight.decimalText(decimals: 3)) bits per weight in all")
    if statistics == nil {
      lines.append(
        "peak memory about \(Quantities.bytes(plan.peakMemoryByteCount(workers: workers)))")
    }
    return lines.map { Note($0) }
  }

  /// The calibration as the header has it.
  private func calibrationJSON(_ evidence: CalibrationEvidence?) -> JSONValue {
    guard let calibration = plan.calibration else { return .null }
    return evidence.map { calibration.json(with: $0) } ?? calibration.json
  }

  private var fileByteCount: Int { report?.fileByteCount ?? plan.fileByteCount }

  private var fileText: String {
    let files = report?.fileCount ?? plan.shardCount
    let atMost = report == nil && plan.options.compressionLevel != nil ? "at most " : ""
    return atMost + Quantities.bytes(fileByteCount) + (files == 1 ? "" : " in \(files) files")
  }

  /// Tensors that do not get what was asked for, grouped by reason.
  private var notes: [String] {
    var byNote: [String: [String]] = [:]
    for item in plan.items {
      if let note = item.note {
        byNote["\(note); written as \(item.encoding)", default: []].append(item.stored.name.text)
      }
    }
    return byNote.sorted { $0.key < $1.key }.map { note, names in
      let subject =
        names.count == 1 ? names[0] : "\(names.count) tensors, such as \(names[0])"
      return "\(subject.asOneLine): \(note)"
    }
  }

  // MARK: - Tables

  private var roleTable: ReportTable {
    typealias RoleRow = (role: String, row: Row, encodings: String)
    func described(_ name: String, _ row: Row, isTotal: Bool) -> RoleRow {
      let encodings = row.encodings.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      return (name, row, isTotal ? "" : encodings.map(\.key).joined(separator: ", "))
    }
    return ReportTable(
      "roles", form: .keyed,
      rows: rows.map { described($0.role.rawValue, $0.row, isTotal: false) },
      total: described("all", total, isTotal: true),
      columns: [
        .text("role", "role") { .text($0.role) },
        .number("tensors", "tensors", importance: 3) { .count($0.row.tensors) },
        .number("parameters", "parameters", importance: 4) { .count($0.row.parameters) },
        .number("bytes", "bytes", importance: 2) { .bytes($0.row.bytes) },
        .number("bits_per_weight", "bits/weight", importance: 1) {
          .number($0.row.bitsPerWeight, .fixed(decimals: 3))
        },
        .number("weight_error", "weight error", importance: 1, marksLargest: true) {
          .number($0.row.weightError)
        },
        .number(
          "output_error", "output error", importance: 1,
          for: report?.evidence == nil ? .programs : .everyone, marksLargest: true
        ) {
          .number($0.row.outputError)
        },
        // The older name of the error of weights.
        .data("relative_error") { .number($0.row.weightError) },
        .text("encodings", "encoding", importance: 1) {
          .structured(
            .object(
              $0.row.encodings.sorted { $0.key < $1.key }.map {
                JSONMember(key: ExactString($0.key), value: .integer($0.value))
              }), text: $0.encodings)
        },
      ])
  }

  /// One row a tensor, for programs.
  private var tensorTable: ReportTable {
    ReportTable(
      "tensors", for: .programs,
      rows: plan.items.enumerated().map {
        ($0.element, statistics?[$0.offset], report?.outputErrors[$0.offset])
      },
      columns: [
        .data("name") { .text($0.0.stored.name.text) },
        .data("role") { .text($0.0.role.rawValue) },
        .data("encoding") { .text($0.0.encoding.description) },
        .data("method") { .text($0.0.isQuantizedNow ? $0.0.method.rawValue : nil) },
        .data("bytes") { .bytes($0.0.byteCount) },
        .data("weight_error") { .number($0.1?.measuredError) },
        .data("output_error") { .number($0.2) },
        .data("relative_error") { .number($0.1?.measuredError) },
        .data("nan_count") { .count($0.1?.nanCount ?? 0) },
        .data("inf_count") { .count($0.1?.infinityCount ?? 0) },
        .data("note") { .text($0.0.note) },
      ])
  }
}

extension QuantizationStatistics {
  /// The relative error; nil where nothing was rounded.
  fileprivate var measuredError: Double? { elementCount == 0 ? nil : relativeError }
}

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

/// What a quantization will do or has done, by role, as text and as JSON.
struct QuantizationSummary {
  /// The tensors of one role.
  private struct Row {
    var tensors = 0
    var parameters = 0
    var sourceBytes = 0
    var bytes = 0
    var encodings: [String: Int] = [:]
    var statistics = QuantizationStatistics()
    var bitsPerWeight: Double { parameters == 0 ? 0 : Double(bytes) * 8 / Double(parameters) }
  }

  private let plan: PackingPlan
  private let report: Packing.Report?
  private var statistics: [QuantizationStatistics]? { report?.statistics }
  private let output: FilePath
  private let workers: Workers
  private var rows: [(role: TensorRole, row: Row)] = []
  private var total = Row()

  /// - Parameters:
  ///   - plan: The plan.
  ///   - report: What was measured; nil before the work.
  ///   - output: The packed file.
  ///   - workers: Threads that would be used, for the estimate of memory.
  init(
    _ plan: PackingPlan, report: Packing.Report?, output: FilePath, workers: Workers
  ) {
    self.plan = plan
    self.report = report
    self.output = output
    self.workers = workers
    var byRole: [TensorRole: Row] = [:]
    for (index, item) in plan.items.enumerated() {
      let statistics = report?.statistics[index] ?? QuantizationStatistics()
      Self.add(item, statistics, to: &byRole[item.role, default: Row()])
      Self.add(item, statistics, to: &total)
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

  // MARK: - Text

  var text: String {
    var table = Table([
      ("role", .left), ("tensors", .right), ("parameters", .right), ("bytes", .right),
      ("bits/weight", .right), ("relative error", .right), ("encoding", .left),
    ])
    for (role, row) in rows { table.add(cells(role.rawValue, row)) }
    table.add(cells("all", total))
    var lines = [table.text, ""]
    lines += notes
    if let evidence = report?.evidence {
      lines += CalibrationReport(calibrationJSON(evidence)).lines.map { "calibration: \($0)" }
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
    return lines.joined(separator: "\n")
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

  private func cells(_ name: String, _ row: Row) -> [String] {
    let encodings = row.encodings.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    return [
      name, Quantities.grouped(row.tensors), Quantities.grouped(row.parameters),
      Quantities.bytes(row.bytes), row.bitsPerWeight.decimalText(decimals: 3),
      row.statistics.elementCount == 0
        ? "-" : Quantities.significant(row.statistics.relativeError),
      name == "all" ? "" : encodings.map(\.key).joined(separator: ", "),
    ]
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

  // MARK: - JSON

  /// The summary as JSON.
  ///
  /// - Parameter allocation: How the schemes were chosen; nil if they were given.
  /// - Returns: An object.
  func json(_ allocation: SchemeAllocation?) -> JSONValue {
    [
      "output": .string(output.string),
      "dry_run": .bool(statistics == nil),
      "file_bytes": .integer(fileByteCount),
      "files": .integer(report?.fileCount ?? plan.shardCount),
      "resumed_tensors": .integer(report?.resumedTensorCount ?? 0),
      "tensor_bytes": .integer(total.bytes),
      "source_bytes": .integer(total.sourceBytes),
      "parameters": .integer(total.parameters),
      "bits_per_weight": .number(total.bitsPerWeight),
      "relative_error": relativeError(total),
      "peak_memory_bytes_estimate": .integer(plan.peakMemoryByteCount(workers: workers)),
      "allocation": allocation.map { AllocationTable($0).json } ?? .null,
      "calibration": calibrationJSON(report?.evidence),
      "roles": .object(
        rows.map { role, row in
          JSONMember(
            key: ExactString(role.rawValue),
            value: [
              "tensors": .integer(row.tensors),
              "parameters": .integer(row.parameters),
              "bytes": .integer(row.bytes),
              "bits_per_weight": .number(row.bitsPerWeight),
              "relative_error": relativeError(row),
              "encodings": .object(
                row.encodings.sorted { $0.key < $1.key }.map {
                  JSONMember(key: ExactString($0.key), value: .integer($0.value))
                }),
            ])
        }),
      "tensors": .array(
        plan.items.enumerated().map { index, item in
          [
            "name": .string(item.stored.name.text),
            "role": .string(item.role.rawValue),
            "encoding": .string(item.encoding.description),
            "method": item.isQuantizedNow ? .string(item.method.rawValue) : .null,
            "bytes": .integer(item.byteCount),
            "relative_error": statistics?[index].elementCount ?? 0 > 0
              ? statistics.map { .number($0[index].relativeError) } ?? .null : .null,
            "nan_count": .integer(statistics?[index].nanCount ?? 0),
            "inf_count": .integer(statistics?[index].infinityCount ?? 0),
            "note": item.note.map { .string($0) } ?? .null,
          ]
        }),
    ]
  }

  private func relativeError(_ row: Row) -> JSONValue {
    row.statistics.elementCount == 0 ? .null : .number(row.statistics.relativeError)
  }
}

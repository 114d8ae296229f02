// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import Kernels
import KimiLinear
import Quantization
import Reports
import TensorCore

/// The tensors of a checkpoint, with or without statistics, as a table and as JSON.
struct TensorListing {
  private struct Row {
    let stored: StoredTensor
    let role: TensorRole?
    let statistics: TensorStatistics?
  }

  /// Whether no tensor is listed.
  let isEmpty: Bool
  private let rows: [Row]
  private let hasStatistics: Bool

  /// - Parameters:
  ///   - checkpoint: The checkpoint.
  ///   - checked: The same, if it has a configuration; tensors then have their released names.
  ///   - filter: Which tensors.
  ///   - isListed: Whether there is anything to list.
  ///   - hasStatistics: Whether values are read.
  ///   - workers: Threads.
  ///   - progress: Where progress is shown.
  /// - Throws: `UsageError` for a bad filter, or what is wrong with a compressed tensor.
  init(
    _ checkpoint: Checkpoint, checked: CheckedCheckpoint?, filter: String?, isListed: Bool,
    hasStatistics: Bool, workers: Workers, progress: ProgressPrinter
  ) throws {
    self.hasStatistics = hasStatistics
    guard isListed || checked == nil else {
      rows = []
      isEmpty = true
      return
    }
    let matches = try Self.matcher(filter)
    // A packed file and a folder list the same names in the same order.
    let tensors = (checked?.tensors.tensors ?? checkpoint.storedTensors).filter {
      matches($0.name)
    }
    isEmpty = tensors.isEmpty
    let total = tensors.reduce(0) { $0 + $1.storedByteCount }
    var completed = 0
    rows = try tensors.map { stored in
      var statistics: TensorStatistics?
      if hasStatistics {
        statistics = TensorStatistics(
          try stored.load(workers: workers), workers: workers)
        completed += stored.storedByteCount
        progress.show(
          Progress(
            activity: "inspect", detail: stored.name.text, completed: completed, total: total,
            unit: .bytes))
      }
      return Row(stored: stored, role: checked?.role(of: stored.name), statistics: statistics)
    }
    progress.finish()
  }

  private static func matcher(_ filter: String?) throws -> (ExactString) -> Bool {
    guard let filter else { return { _ in true } }
    guard filter.contains("*") || filter.contains("?") else {
      return { name in name.text.contains(filter) }
    }
    guard let pattern = NamePattern(filter) else {
      throw UsageError(
        "--filter \"\(filter)\": \(NamePattern.problem(in: filter) ?? "bad pattern")")
    }
    return pattern.matches
  }

  // MARK: - Text

  var text: String {
    hasStatistics ? statisticsTable : plainTable
  }

  private var plainTable: String {
    var table = Table([
      ("tensor", .left), ("shape", .left), ("encoding", .left), ("bytes", .right), ("role", .left),
    ])
    for row in rows {
      table.add([
        row.stored.name.text, row.stored.shape.description,
        row.stored.encoding.description,
        Quantities.grouped(row.stored.storedByteCount), row.role?.rawValue ?? "",
      ])
    }
    return table.text
  }

  private var statisticsTable: String {
    var table = Table([
      ("tensor", .left), ("encoding", .left), ("min", .right), ("max", .right), ("mean", .right),
      ("std", .right), ("absmax", .right), ("outliers", .right), ("zeros", .right),
      ("NaN", .right), ("Inf", .right), ("-absmax … +absmax", .left),
    ])
    for row in rows {
      let name = row.stored.name.text
      let encoding = row.stored.encoding.description
      guard let statistics = row.statistics else {
        table.add([name, encoding] + [String](repeating: "-", count: 9) + [""])
        continue
      }
      let figures = [
        Double(statistics.minimum), Double(statistics.maximum), statistics.mean,
        statistics.standardDeviation, Double(statistics.largestMagnitude),
      ]
      let isEmpty = statistics.finiteCount == 0
      table.add(
        [name, encoding] + figures.map { isEmpty ? "-" : Quantities.significant($0) } + [
          (statistics.outlierShare * 100).decimalText(decimals: 3) + " %",
          Quantities.grouped(statistics.zeroCount), Quantities.grouped(statistics.nanCount),
          Quantities.grouped(statistics.infinityCount), Self.bars(statistics.histogram),
        ])
    }
    return table.text
  }

  /// A histogram in one line; bars grow with the logarithm of the count, so that tails are seen.
  private static func bars(_ histogram: [Int]) -> String {
    let levels = Array("▁▂▃▄▅▆▇█")
    func bits(_ count: Int) -> Int { Int.bitWidth - count.leadingZeroBitCount }
    let most = histogram.map(bits).max() ?? 0
    guard most > 0 else { return "" }
    return String(
      histogram.map { count in
        count == 0 ? " " : levels[bits(count) * (levels.count - 1) / most]
      })
  }

  // MARK: - JSON

  var json: JSONValue {
    .array(
      rows.map { row in
        var members: [JSONMember] = [
          JSONMember(key: "name", value: .string(row.stored.name.text)),
          JSONMember(
            key: "shape", value: .array(row.stored.shape.dimensions.map { .integer($0) })),
          JSONMember(key: "encoding", value: .string(row.stored.encoding.description)),
          JSONMember(key: "source_dtype", value: .string(row.stored.sourceDType.rawValue)),
          JSONMember(key: "bytes", value: .integer(row.stored.storedByteCount)),
          JSONMember(key: "role", value: row.role.map { .string($0.rawValue) } ?? .null),
        ]
        if hasStatistics {
          members.append(
            JSONMember(key: "statistics", value: row.statistics.map(Self.json) ?? .null))
        }
        return .object(members)
      })
  }

  private static func json(_ statistics: TensorStatistics) -> JSONValue {
    let isEmpty = statistics.finiteCount == 0
    func figure(_ value: Double) -> JSONValue { isEmpty ? .null : .number(value) }
    return [
      "min": figure(Double(statistics.minimum)),
      "max": figure(Double(statistics.maximum)),
      "mean": figure(statistics.mean),
      "std": figure(statistics.standardDeviation),
      "absmax": figure(Double(statistics.largestMagnitude)),
      "outlier_share": .number(statistics.outlierShare),
      "nan_count": .integer(statistics.nanCount),
      "inf_count": .integer(statistics.infinityCount),
      "zero_count": .integer(statistics.zeroCount),
      "histogram": .array(statistics.histogram.map { .integer($0) }),
    ]
  }
}

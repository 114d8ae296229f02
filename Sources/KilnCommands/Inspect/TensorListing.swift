// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import Kernels
import KimiLinear
import Quantization
import Reports
import TensorCore

/// The tensors of a checkpoint, with or without statistics.
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

  // MARK: - Table

  /// The tensors, one a row.
  var table: ReportTable {
    ReportTable("tensors", rows: rows, columns: hasStatistics ? statisticsColumns : plainColumns)
  }

  private var name: TableColumn<Row> {
    .text("name", "tensor") { .text($0.stored.name.text) }
  }

  private static func shape(_ row: Row) -> Cell {
    .structured(
      .array(row.stored.shape.dimensions.map { .integer($0) }),
      text: row.stored.shape.description)
  }

  private var plainColumns: [TableColumn<Row>] {
    [
      name,
      .text("shape", "shape", importance: 1) { Self.shape($0) },
      .text("encoding", "encoding", importance: 1) { .text($0.stored.encoding.description) },
      .data("source_dtype") { .text($0.stored.sourceDType.rawValue) },
      .number("bytes", "bytes", importance: 1) { .count($0.stored.storedByteCount) },
      .text("role", "role", importance: 2) { .text($0.role?.rawValue) },
    ]
  }

  private var statisticsColumns: [TableColumn<Row>] {
    let group = "statistics"
    /// A figure over the finite values; missing where there are none.
    func figure(
      _ key: String, importance: Int, _ value: @escaping (TensorStatistics) -> Double
    ) -> TableColumn<Row> {
      .number(key, in: group, key, importance: importance) { row in
        .number(row.statistics.flatMap { $0.finiteCount == 0 ? nil : value($0) })
      }
    }
    return [
      name,
      .data("shape") { Self.shape($0) },
      .text("encoding", "encoding", importance: 1) { .text($0.stored.encoding.description) },
      .data("source_dtype") { .text($0.stored.sourceDType.rawValue) },
      .data("bytes") { .bytes($0.stored.storedByteCount) },
      .data("role") { .text($0.role?.rawValue) },
      figure("min", importance: 4) { Double($0.minimum) },
      figure("max", importance: 4) { Double($0.maximum) },
      figure("mean", importance: 5) { $0.mean },
      figure("std", importance: 1) { $0.standardDeviation },
      figure("absmax", importance: 1) { Double($0.largestMagnitude) },
      .number("outlier_share", in: group, "outliers", importance: 6) {
        .share($0.statistics?.outlierShare, decimals: 3)
      },
      .number("zero_count", in: group, "zeros", importance: 7) {
        .count($0.statistics?.zeroCount)
      },
      .number("nan_count", in: group, "NaN", importance: 1) { .faults($0.statistics?.nanCount) },
      .number("inf_count", in: group, "Inf", importance: 2) {
        .faults($0.statistics?.infinityCount)
      },
      .bars("histogram", in: group, "-absmax … +absmax", importance: 3) {
        $0.statistics?.histogram
      },
    ]
  }
}

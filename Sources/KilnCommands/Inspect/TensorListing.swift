// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import Reports
import TensorCore

/// The tensors of a checkpoint, with or without statistics.
struct TensorListing {
  /// One tensor.
  struct Row {
    let stored: StoredTensor
    let role: TensorRole?
    let layer: Int?
    let statistics: TensorStatistics?
  }

  /// What is listed, and in which order.
  struct Request {
    var selection = TensorSelection()
    var column: TensorColumn?
    var isReversed = false
    /// Rows that are listed, the others are counted; nil for all.
    var limit: Int?
    var hasStatistics = false
  }

  private let rows: [Row]
  /// Tensors that were asked for and are beyond the limit.
  let omittedCount: Int
  private let hasStatistics: Bool
  /// What the rows are ordered by.
  private let column: TensorColumn?

  /// Whether no tensor is listed.
  var isEmpty: Bool { rows.isEmpty }

  /// Reads what the request needs.
  ///
  /// - Parameters:
  ///   - tensors: The tensors of the checkpoint with their roles, in its order.
  ///   - request: What is listed.
  ///   - workers: Threads.
  ///   - progress: Where progress is shown.
  /// - Throws: What is wrong with a compressed tensor.
  init(
    _ tensors: [(stored: StoredTensor, role: TensorRole?)], _ request: Request, workers: Workers,
    progress: ProgressPrinter
  ) throws {
    hasStatistics = request.hasStatistics
    column = request.column
    let selected = tensors.filter { request.selection.includes($0.stored, role: $0.role) }
    // Without an order by what is read, only what is shown has to be.
    let isOrderedFirst = request.column?.isStatistic != true
    func row(_ tensor: (stored: StoredTensor, role: TensorRole?), _ statistics: TensorStatistics?)
      -> Row
    {
      Row(
        stored: tensor.stored, role: tensor.role, layer: LayerNumber.of(tensor.stored.name),
        statistics: statistics)
    }
    var rows = selected.map { row($0, nil) }
    if isOrderedFirst { rows = Self.ordered(rows, request).limited(to: request.limit) }
    if hasStatistics {
      rows = try Self.measured(rows, workers: workers, progress: progress)
      if !isOrderedFirst { rows = Self.ordered(rows, request).limited(to: request.limit) }
    }
    self.rows = rows
    omittedCount = selected.count - rows.count
  }

  private static func measured(
    _ rows: [Row], workers: Workers, progress: ProgressPrinter
  ) throws -> [Row] {
    let total = rows.reduce(0) { $0 + $1.stored.storedByteCount }
    var completed = 0
    let measured = try rows.map { row in
      let statistics = TensorStatistics(try row.stored.load(workers: workers), workers: workers)
      completed += row.stored.storedByteCount
      progress.show(
        Progress(
          activity: "inspect", detail: row.stored.name.text, completed: completed, total: total,
          unit: .bytes))
      return Row(stored: row.stored, role: row.role, layer: row.layer, statistics: statistics)
    }
    progress.finish()
    return measured
  }

  // MARK: - Order

  private static func ordered(_ rows: [Row], _ request: Request) -> [Row] {
    guard let column = request.column else {
      return request.isReversed ? rows.reversed() : rows
    }
    let known = rows.indices.filter { rows[$0].hasValue(of: column) }
    let unknown = rows.indices.filter { !rows[$0].hasValue(of: column) }
    // Equal ones stay in the order of the checkpoint, and what has no value is last either way.
    let sorted = known.sorted { left, right in
      let (first, second) = request.isReversed ? (right, left) : (left, right)
      if rows[first].precedes(rows[second], by: column) { return true }
      return rows[second].precedes(rows[first], by: column) ? false : left < right
    }
    return (sorted + unknown).map { rows[$0] }
  }

  // MARK: - Table

  /// The tensors, one a row.
  ///
  /// - Parameters:
  ///   - shownCount: Rows that people see; nil for all.
  ///   - audience: Who sees it.
  /// - Returns: The table.
  func table(shownCount: Int? = nil, for audience: Audience = .everyone) -> ReportTable {
    let parameters: TableColumn<Row> = .number("parameters", "parameters") {
      .count($0.stored.shape.elementCount)
    }
    let columns =
      (hasStatistics ? Self.statisticsColumns : Self.plainColumns)
      + (column == .parameters ? [parameters] : []) + errorColumns
    // What rows are ordered by has to be seen, however narrow the terminal is.
    let isKept = column.map { column in rows.contains { $0.hasValue(of: column) } } ?? false
    return ReportTable(
      "tensors", for: audience, rows: rows.limited(to: shownCount),
      columns: columns.map { isKept && $0.column.key == column?.key ? $0.kept : $0 })
  }

  /// Whether the rows are ordered by something of which none has a value.
  var isOrderedByNothing: Bool {
    guard let column, !rows.isEmpty else { return false }
    return !rows.contains { $0.hasValue(of: column) }
  }

  /// What rounding has cost, for people only where a packed file says it.
  private var errorColumns: [TableColumn<Row>] {
    let isKnown = rows.contains { $0.stored.weightError != nil }
    let areOutputsKnown = rows.contains { $0.stored.outputError != nil }
    return [
      .number(
        "weight_error", "weight error", importance: 3, for: isKnown ? .everyone : .programs
      ) { .number($0.stored.weightError) },
      .number(
        "output_error", "output error", importance: 3,
        for: areOutputsKnown ? .everyone : .programs
      ) { .number($0.stored.outputError) },
    ]
  }

  private static var name: TableColumn<Row> {
    .text("name", "tensor") { .text($0.stored.name.text) }
  }

  private static func shape(_ row: Row) -> Cell {
    .structured(
      .array(row.stored.shape.dimensions.map { .integer($0) }),
      text: row.stored.shape.description)
  }

  private static var plainColumns: [TableColumn<Row>] {
    [
      name,
      .text("shape", "shape", importance: 1) { shape($0) },
      .text("encoding", "encoding", importance: 1) { .text($0.stored.encoding.description) },
      .data("source_dtype") { .text($0.stored.sourceDType.rawValue) },
      .number("bytes", "bytes", importance: 1) { .count($0.stored.storedByteCount) },
      .text("role", "role", importance: 2) { .text($0.role?.rawValue) },
      .data("layer") { .count($0.layer) },
    ]
  }

  private static var statisticsColumns: [TableColumn<Row>] {
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
      .data("shape") { shape($0) },
      .text("encoding", "encoding", importance: 1) { .text($0.stored.encoding.description) },
      .data("source_dtype") { .text($0.stored.sourceDType.rawValue) },
      .data("bytes") { .bytes($0.stored.storedByteCount) },
      .data("role") { .text($0.role?.rawValue) },
      .data("layer") { .count($0.layer) },
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

extension TensorListing.Row {
  /// The number of a column of numbers; nil where there is none.
  private func number(_ column: TensorColumn) -> Double? {
    switch column {
    case .name, .role, .encoding: return nil
    case .layer: return layer.map(Double.init)
    case .bytes: return Double(stored.storedByteCount)
    case .parameters: return Double(stored.shape.elementCount)
    case .nan: return statistics.map { Double($0.nanCount) }
    case .inf: return statistics.map { Double($0.infinityCount) }
    case .zeros: return statistics.map { Double($0.zeroCount) }
    case .weightError: return stored.weightError
    case .outputError: return stored.outputError
    case .min, .max, .mean, .std, .absmax, .outliers:
      guard let statistics, statistics.finiteCount > 0 else { return nil }
      switch column {
      case .min: return Double(statistics.minimum)
      case .max: return Double(statistics.maximum)
      case .mean: return statistics.mean
      case .std: return statistics.standardDeviation
      case .absmax: return Double(statistics.largestMagnitude)
      default: return statistics.outlierShare
      }
    }
  }

  /// The text of a column of text.
  private func text(_ column: TensorColumn) -> ExactString? {
    switch column {
    case .name: stored.name
    case .role: role.map { ExactString($0.rawValue) }
    case .encoding: ExactString(stored.encoding.description)
    default: nil
    }
  }

  /// Whether there is something to order by.
  fileprivate func hasValue(of column: TensorColumn) -> Bool {
    text(column) != nil || number(column) != nil
  }

  /// Whether it comes before another one: names and layers rise, other numbers fall.
  fileprivate func precedes(_ other: Self, by column: TensorColumn) -> Bool {
    if let text = text(column), let otherText = other.text(column) { return text < otherText }
    guard let number = number(column), let otherNumber = other.number(column) else { return false }
    return column == .layer ? number < otherNumber : number > otherNumber
  }
}

extension [TensorListing.Row] {
  /// The first of them.
  fileprivate func limited(to limit: Int?) -> [TensorListing.Row] {
    limit.map { Array(prefix($0)) } ?? self
  }
}

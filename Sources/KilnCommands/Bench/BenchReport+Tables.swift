// SPDX-License-Identifier: Apache-2.0

import Benchmarking
import JSON
import Kernels
import KimiLinear
import Reports
import TensorCore

extension BenchReport {
  /// Everything that was measured; `Docs/CommandLine.md` lists the keys of its JSON.
  var report: Report {
    var report = Report([
      .fields(
        [JSONMember]([
          "model": .string(model), "threads": .integer(threads), "repeats": .integer(repeats),
          "load_average": loadAverage.map { .number($0) } ?? .null,
        ])),
      machine.map { .facts(facts(of: $0), key: "machine") }
        ?? .fields([JSONMember(key: "machine", value: .null)]),
    ])
    report.append(block(kdaTable))
    report.append(block(prefillTable))
    if !prefill.isEmpty { report.append(.table(partTable)) }
    if prefill.contains(where: { !$0.secondsOfLinearAttention.isEmpty }) {
      report.append(.table(linearAttentionTable))
    }
    report.append(block(decodeTable))
    if !decode.isEmpty { report.append(.table(decodePartTable)) }
    report.append(block(productTable))
    report.append(block(jobTable))
    return report
  }

  /// What was not measured is an empty list in JSON, and no table anywhere.
  private func block(_ table: ReportTable) -> Report.Block {
    table.rows.isEmpty
      ? .fields([JSONMember(key: ExactString(table.key), value: [])]) : .table(table)
  }

  private func facts(of machine: MachineCeilings) -> [Fact] {
    func giga(_ value: Double, _ unit: String) -> String {
      "\((value / 1e9).decimalText(decimals: 1)) \(unit)"
    }
    return [
      Fact("machine", "\(machine.threads) threads"),
      Fact(
        "instructions", machine.instructions.rawValue,
        ["instructions": .string(machine.instructions.rawValue)]),
      Fact("load average before", loadAverage?.decimalText(decimals: 2) ?? "unknown"),
      Fact(
        "sgemm, kernels for", machine.productKernels,
        ["sgemm_kernels": .string(machine.productKernels)]),
      Fact(
        "sgemm, one thread", giga(machine.singleThreadProduct, "GFLOP/s"),
        ["sgemm_flops_one_thread": .number(machine.singleThreadProduct)]),
      Fact(
        "sgemm, all threads", giga(machine.product, "GFLOP/s"),
        ["sgemm_flops": .number(machine.product)]),
    ]
      + machine.reads.map {
        Fact("read, \(Quantities.bytes($0.workingSet))", giga($0.bytesPerSecond, "GB/s"))
      } + [
        Fact(
          "copy in memory", giga(machine.copyBytesPerSecond, "GB/s"),
          [
            "read": .array(
              machine.reads.map {
                [
                  "working_set_bytes": .integer($0.workingSet),
                  "bytes_per_second": .number($0.bytesPerSecond),
                ]
              }),
            "copy_bytes_per_second": .number(machine.copyBytesPerSecond),
          ])
      ]
  }

  /// Median, spread and runs of a measurement.
  ///
  /// - Parameters:
  ///   - shown: How the median is shown; nil where a column of its own says it in other words.
  ///   - time: The measurement of a row.
  /// - Returns: Three columns.
  static func timeColumns<Row>(
    _ shown: (title: String, style: NumberStyle)? = nil, _ time: @escaping (Row) -> Measurement
  ) -> [TableColumn<Row>] {
    [
      shown.map { shown in
        .number("seconds", shown.title, importance: 2) { .number(time($0).median, shown.style) }
      } ?? .data("seconds") { .number(time($0).median) },
      .number("spread", "spread", importance: 4) {
        .share(time($0).spread, tone: time($0).spread > wideSpread ? .warning : .plain)
      },
      .data("runs") {
        let runs = time($0).seconds
        return .structured(
          .array(runs.map { .number($0) }), text: runs.map(\.description).joined(separator: " "))
      },
    ]
  }

  private var productTable: ReportTable {
    ReportTable(
      "products", title: "Products",
      rows: products,
      columns: [
        .text("shape", "shape") {
          .structured(
            .array($0.shape.dimensions.map { .integer($0) }), text: $0.shape.description)
        },
        .text("encoding", "encoding") { .text($0.encoding.description) },
        .text("parts", "parts", importance: 2) { result in
          .structured(
            .array(result.parts.map { .string($0.rawValue) }),
            text: result.parts.map(\.rawValue).joined(separator: ", "))
        },
        .number("matrices", "number", importance: 5) { .count($0.count) },
        .number("tokens", "tokens", importance: 6) { .count($0.tokens) },
        .data("flop") { .number($0.operations) },
      ] + Self.timeColumns(("µs", .multiple(of: 1e-6, decimals: 0))) { $0.time } + [
        .number("flops", "GFLOP/s", importance: 1) {
          .number($0.operationsPerSecond, .multiple(of: 1e9, decimals: 1))
        },
        .number("share_of_sgemm", "of sgemm", importance: 3) { [machine] in
          .share(Self.ratio($0.operationsPerSecond, to: machine?.product))
        },
      ])
  }

  private var jobTable: ReportTable {
    let copy = jobs.first { $0.job == .copy }?.bytesPerSecond
    return ReportTable(
      "jobs", title: "Conversion, from the page cache",
      rows: jobs,
      columns: [
        .text("job", "job") { .text(Self.name(of: $0.job)) },
        .number("source_bytes", "read", importance: 3) { .bytes($0.sourceByteCount) },
        .number("written_bytes", "written", importance: 3) { .bytes($0.writtenByteCount) },
      ] + Self.timeColumns(("s", .fixed(decimals: 3))) { $0.time } + [
        .number("bytes_per_second", "GB/s of input", importance: 1) {
          .number($0.bytesPerSecond, .multiple(of: 1e9, decimals: 2))
        },
        .number("share_of_copy", "of copy", importance: 2) {
          .share(Self.ratio($0.bytesPerSecond, to: copy))
        },
      ])
  }

  /// A share of a ceiling; nil where there is none.
  static func ratio(_ value: Double, to ceiling: Double?) -> Double? {
    guard let ceiling, ceiling > 0 else { return nil }
    return value / ceiling
  }
}

// SPDX-License-Identifier: Apache-2.0

import Benchmarking
import JSON
import Kernels
import KimiLinear
import Reports
import TensorCore

/// Tables about running a model, and about its parts.
extension BenchReport {
  var kdaTable: ReportTable {
    ReportTable(
      "kda", title: "Kimi Delta Attention, one thread",
      rows: kda,
      columns: [
        .text("kernel", "kernel") { .text(Self.name(of: $0.kernel)) },
        .number("tokens", "tokens") { .count($0.tokens) },
        .data("heads") { .count($0.heads) },
        .number("seconds_per_token_and_head", "µs a token and head", importance: 1) {
          .number($0.secondsPerTokenAndHead, .multiple(of: 1e-6, decimals: 3))
        },
        .number("flop_per_token_and_head", "FLOP", importance: 3) { .count($0.operations) },
        .number("flops", "GFLOP/s", importance: 1) {
          .number($0.operationsPerSecond, .multiple(of: 1e9, decimals: 1))
        },
        .number("share_of_sgemm", "of sgemm", importance: 2) { [machine] in
          .share(Self.ratio($0.operationsPerSecond, to: machine?.singleThreadProduct))
        },
      ] + Self.timeColumns { $0.time })
  }

  // MARK: - Prefill

  var prefillTable: ReportTable {
    ReportTable(
      "prefill", title: "Prefill, logits of all tokens included", rows: prefill,
      columns: [
        .number("tokens", "tokens") { .count($0.tokens) },
        .number("sequences", "at a time", importance: 1) { .count($0.sequences) },
        .number("tokens_per_second", "tokens/s") {
          .number($0.tokensPerSecond, .fixed(decimals: 0))
        },
        .number("flop_per_token", "MFLOP a token", importance: 5) { result in
          let tokens = Double(result.tokens * result.sequences)
          return .number(
            result.operations.values.reduce(0, +) / tokens, .multiple(of: 1e6, decimals: 2))
        },
        .number("flops", "GFLOP/s", importance: 1) {
          .number($0.operationsPerSecond, .multiple(of: 1e9, decimals: 1))
        },
        .number("share_of_sgemm", "of sgemm", importance: 2) { [machine] in
          .share(Self.ratio($0.operationsPerSecond, to: machine?.product))
        },
      ] + Self.timeColumns { $0.time } + [
        .number("peak_memory_bytes", "peak memory", importance: 3) {
          .bytes($0.peakMemoryByteCount)
        }
      ] + Self.partColumns("seconds_by_part", of: prefill) { $0.secondsOfParts }
        + Self.partColumns("seconds_of_kda", of: prefill) { $0.secondsOfLinearAttention }
        + Self.partColumns("flop_by_part", of: prefill) { $0.operations })
  }

  /// A column for programs for each part that some row has: members of one object.
  private static func partColumns<Row, Part: CaseIterable & RawRepresentable<String> & Hashable>(
    _ key: String, of rows: [Row], _ values: @escaping (Row) -> [Part: Double]
  ) -> [TableColumn<Row>] {
    let parts = Part.allCases.filter { part in rows.contains { values($0)[part] != nil } }
    guard !parts.isEmpty else { return [.data(key) { _ in .structured([:], text: "") }] }
    return parts.map { part in
      .data(part.rawValue, in: key) { .number(values($0)[part]) }
    }
  }

  /// Time and operations of each part: a part whose share of time is larger than that of operations is
  /// slower than the average.
  var partTable: ReportTable {
    typealias Row = (result: PrefillBenchmark.Result, what: String, values: [ModelPart: Double])
    let rows: [Row] = prefill.flatMap { result in
      [(result, "time", result.secondsOfParts), (result, "FLOP", result.operations)]
    }
    let parts = ModelPart.allCases.filter { part in
      prefill.contains { $0.secondsOfParts[part] != nil }
    }
    let columns: [TableColumn<Row>] = [
      .number("tokens", "tokens") { .count($0.result.tokens) },
      .number("sequences", "at a time", importance: 2) { .count($0.result.sequences) },
      .text("what", "") { .text($0.what) },
    ]
    return ReportTable(
      "shares_by_part", title: "Share of the time of each part", for: .people, rows: rows,
      columns: columns
        + parts.map { part in
          .number(part.rawValue, part.rawValue, importance: 1) { row in
            let total = row.values.values.reduce(0, +)
            return .share(row.values[part].map { total > 0 ? $0 / total : 0 })
          }
        })
  }

  /// Shares of the time of a whole prefill; projections are products like those of any layer.
  var linearAttentionTable: ReportTable {
    func share(_ result: PrefillBenchmark.Result, _ parts: [LinearAttentionPart]) -> Cell {
      let total = result.secondsOfParts.values.reduce(0, +)
      let own = parts.reduce(0) { $0 + result.secondsOfLinearAttention[$1, default: 0] }
      return .share(total > 0 ? own / total : 0)
    }
    let columns: [TableColumn<PrefillBenchmark.Result>] = [
      .number("tokens", "tokens") { .count($0.tokens) },
      .number("sequences", "at a time", importance: 2) { .count($0.sequences) },
    ]
    return ReportTable(
      "shares_of_kda", title: "KDA's share of the time, part by part", for: .people,
      rows: prefill,
      columns: columns
        + LinearAttentionPart.allCases.map { part in
          .number(part.rawValue, part.rawValue, importance: 1) { share($0, [part]) }
        } + [
          .number("others", "all but projections", importance: 1) {
            share($0, LinearAttentionPart.allCases.filter { $0 != .projections })
          }
        ])
  }

  // MARK: - Decoding

  var decodeTable: ReportTable {
    ReportTable(
      "decode", title: "Decoding, token by token",
      rows: decode,
      columns: [
        .number("context", "context") { .count($0.context) },
        .data("tokens_per_run") { .count($0.tokensPerRun) },
        .number("tokens_per_second", "tokens/s") {
          .number($0.tokensPerSecond, .fixed(decimals: 1))
        },
      ] + Self.timeColumns(("ms a token", .multiple(of: 1e-3, decimals: 3))) { $0.time } + [
        .number("seconds_of_fastest", "fastest", importance: 6) {
          .number($0.fastest, .multiple(of: 1e-3, decimals: 3))
        },
        .number("weight_bytes", "weights", importance: 3) { .bytes($0.weightByteCount) },
        .number("state_bytes", "state", importance: 3) { .bytes($0.stateByteCount) },
        .number("read_bytes_per_second", "GB/s of reading", importance: 5) {
          .number($0.readBytesPerSecond, .multiple(of: 1e9, decimals: 1))
        },
        .number("share_of_bandwidth", "of that", importance: 5) { .share($0.shareOfBound) },
        .number("flop", "MFLOP", importance: 6) {
          .number($0.operations, .multiple(of: 1e6, decimals: 1))
        },
        .number("peak_memory_bytes", "peak memory", importance: 1) {
          .bytes($0.peakMemoryByteCount)
        },
      ] + Self.partColumns("seconds_by_part", of: decode) { $0.secondsOfParts })
  }

  /// Microseconds of each part of a token.
  var decodePartTable: ReportTable {
    let parts = ModelPart.allCases.filter { part in
      decode.contains { $0.secondsOfParts[part] != nil }
    }
    let columns: [TableColumn<DecodeBenchmark.Result>] = [
      .number("context", "context") { .count($0.context) }
    ]
    return ReportTable(
      "decode_parts", title: "Time of each part of a token", for: .people, rows: decode,
      columns: columns
        + parts.map { part in
          .number(part.rawValue, part.rawValue + ", µs", importance: 1) {
            .number($0.secondsOfParts[part], .multiple(of: 1e-6, decimals: 1))
          }
        })
  }
}

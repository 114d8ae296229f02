// SPDX-License-Identifier: Apache-2.0

import Benchmarking
import Kernels
import KimiLinear
import Reports
import TensorCore

extension BenchReport {
  /// Tables for people.
  var text: String {
    var parts: [String] = []
    if let machine {
      parts.append(text(of: machine))
      if !kda.isEmpty { parts.append("Kimi Delta Attention, one thread\n" + kdaTable(machine)) }
      if !prefill.isEmpty {
        parts.append("Prefill, logits of all tokens included\n" + prefillTable(machine))
        parts.append("Share of the time of each part\n" + partTable)
        if prefill.contains(where: { !$0.secondsOfLinearAttention.isEmpty }) {
          parts.append("KDA's share of the time, part by part\n" + linearAttentionTable)
        }
      }
      if !decode.isEmpty {
        parts.append("Decoding, token by token\n" + decodeTable)
        parts.append("Time of each part of a token\n" + decodePartTable)
      }
      if !products.isEmpty { parts.append("Products\n" + productTable(machine)) }
    }
    if !jobs.isEmpty { parts.append("Conversion, from the page cache\n" + jobTable) }
    return parts.joined(separator: "\n\n")
  }

  private static func giga(_ value: Double, decimals: Int = 1) -> String {
    (value / 1e9).decimalText(decimals: decimals)
  }

  private func text(of machine: MachineCeilings) -> String {
    var table = Table([("machine", .left), ("", .right), ("", .left)])
    table.add(["threads", "\(machine.threads)", ""])
    table.add(["instructions", machine.instructions.rawValue, ""])
    table.add([
      "load average before", loadAverage.map { $0.decimalText(decimals: 2) } ?? "unknown", "",
    ])
    table.add(["sgemm, kernels for", machine.productKernels, ""])
    table.add(["sgemm, one thread", Self.giga(machine.singleThreadProduct), "GFLOP/s"])
    table.add(["sgemm, all threads", Self.giga(machine.product), "GFLOP/s"])
    for read in machine.reads {
      table.add([
        "read, \(Quantities.bytes(read.workingSet))", Self.giga(read.bytesPerSecond), "GB/s",
      ])
    }
    table.add(["copy in memory", Self.giga(machine.copyBytesPerSecond), "GB/s"])
    return table.text
  }

  private func kdaTable(_ machine: MachineCeilings) -> String {
    var table = Table([
      ("kernel", .left), ("tokens", .right), ("µs a token and head", .right), ("FLOP", .right),
      ("GFLOP/s", .right), ("of sgemm", .right),
    ])
    for result in kda {
      table.add([
        Self.name(of: result.kernel), Quantities.grouped(result.tokens),
        (result.secondsPerTokenAndHead * 1e6).decimalText(decimals: 3),
        Quantities.grouped(result.operations), Self.giga(result.operationsPerSecond),
        Quantities.percent(result.operationsPerSecond / machine.singleThreadProduct),
      ])
    }
    return table.text
  }

  private func prefillTable(_ machine: MachineCeilings) -> String {
    var table = Table([
      ("tokens", .right), ("at a time", .right), ("tokens/s", .right),
      ("MFLOP a token", .right), ("GFLOP/s", .right), ("of sgemm", .right), ("spread", .right),
      ("peak memory", .right),
    ])
    for result in prefill {
      let each =
        result.operations.values.reduce(0, +) / Double(result.tokens * result.sequences) / 1e6
      table.add([
        Quantities.grouped(result.tokens), "\(result.sequences)",
        Quantities.grouped(Int(result.tokensPerSecond)), each.decimalText(decimals: 2),
        Self.giga(result.operationsPerSecond),
        Quantities.percent(result.operationsPerSecond / machine.product),
        Quantities.percent(result.time.spread), Quantities.bytes(result.peakMemoryByteCount),
      ])
    }
    return table.text
  }

  /// Time and operations of each part: a part whose share of time is larger than that of operations is
  /// slower than the average.
  private var partTable: String {
    let parts = ModelPart.allCases.filter { part in
      prefill.contains { $0.secondsOfParts[part] != nil }
    }
    var table = Table(
      [("tokens", .right), ("at a time", .right), ("", .left)]
        + parts.map { ($0.rawValue, .right) })
    for result in prefill {
      func shares(_ values: [ModelPart: Double]) -> [String] {
        let total = values.values.reduce(0, +)
        return parts.map { part in
          values[part].map { Quantities.percent(total > 0 ? $0 / total : 0) } ?? ""
        }
      }
      table.add(
        [Quantities.grouped(result.tokens), "\(result.sequences)", "time"]
          + shares(result.secondsOfParts))
      table.add(["", "", "FLOP"] + shares(result.operations))
    }
    return table.text
  }

  /// Shares of the time of a whole prefill; projections are products like those of any layer.
  private var linearAttentionTable: String {
    let parts = LinearAttentionPart.allCases
    var table = Table(
      [("tokens", .right), ("at a time", .right)] + parts.map { ($0.rawValue, .right) }
        + [("all but projections", .right)])
    for result in prefill {
      let total = result.secondsOfParts.values.reduce(0, +)
      let shares = parts.map { part in
        total > 0 ? result.secondsOfLinearAttention[part, default: 0] / total : 0
      }
      let own = zip(parts, shares).reduce(0) { $1.0 == .projections ? $0 : $0 + $1.1 }
      table.add(
        [Quantities.grouped(result.tokens), "\(result.sequences)"]
          + (shares + [own]).map(Quantities.percent))
    }
    return table.text
  }

  private var decodeTable: String {
    var table = Table([
      ("context", .right), ("tokens/s", .right), ("ms a token", .right), ("fastest", .right),
      ("weights", .right),
      ("state", .right), ("read at", .right), ("of that", .right), ("MFLOP", .right),
      ("spread", .right), ("peak memory", .right),
    ])
    for result in decode {
      table.add([
        Quantities.grouped(result.context), result.tokensPerSecond.decimalText(decimals: 1),
        (result.time.median * 1e3).decimalText(decimals: 3),
        (result.fastest * 1e3).decimalText(decimals: 3), Quantities.bytes(result.weightByteCount),
        Quantities.bytes(result.stateByteCount),
        Self.giga(result.readBytesPerSecond) + " GB/s", Quantities.percent(result.shareOfBound),
        (result.operations / 1e6).decimalText(decimals: 1),
        Quantities.percent(result.time.spread), Quantities.bytes(result.peakMemoryByteCount),
      ])
    }
    return table.text
  }

  /// Microseconds of each part of a token.
  private var decodePartTable: String {
    let parts = ModelPart.allCases.filter { part in
      decode.contains { $0.secondsOfParts[part] != nil }
    }
    var table = Table([("context", .right)] + parts.map { ($0.rawValue + ", µs", .right) })
    for result in decode {
      table.add(
        [Quantities.grouped(result.context)]
          + parts.map { part in
            result.secondsOfParts[part].map { ($0 * 1e6).decimalText(decimals: 1) } ?? ""
          })
    }
    return table.text
  }

  private func productTable(_ machine: MachineCeilings) -> String {
    var table = Table([
      ("shape", .left), ("encoding", .left), ("parts", .left), ("number", .right),
      ("tokens", .right), ("µs", .right), ("GFLOP/s", .right), ("of sgemm", .right),
      ("spread", .right),
    ])
    for result in products {
      table.add([
        result.shape.description, result.encoding.description,
        result.parts.map(\.rawValue).joined(separator: ", "), Quantities.grouped(result.count),
        "\(result.tokens)", (result.time.median * 1e6).decimalText(decimals: 0),
        Self.giga(result.operationsPerSecond),
        Quantities.percent(result.operationsPerSecond / machine.product),
        Quantities.percent(result.time.spread),
      ])
    }
    return table.text
  }

  private var jobTable: String {
    let copy = jobs.first { $0.job == .copy }?.bytesPerSecond ?? 0
    var table = Table([
      ("job", .left), ("read", .right), ("written", .right), ("s", .right),
      ("GB/s of input", .right),
      ("of copy", .right), ("spread", .right),
    ])
    for result in jobs {
      table.add([
        Self.name(of: result.job), Quantities.bytes(result.sourceByteCount),
        Quantities.bytes(result.writtenByteCount), result.time.median.decimalText(decimals: 3),
        Self.giga(result.bytesPerSecond, decimals: 2),
        copy > 0 ? Quantities.percent(result.bytesPerSecond / copy) : "",
        Quantities.percent(result.time.spread),
      ])
    }
    return table.text
  }
}

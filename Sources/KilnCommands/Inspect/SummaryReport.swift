// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import KimiLinear
import Reports
import TensorCore

/// The summary of a model.
struct SummaryReport {
  private let checked: CheckedCheckpoint
  private let summary: ModelSummary

  init(_ checked: CheckedCheckpoint) {
    self.checked = checked
    summary = ModelSummary(checked)
  }

  private var configuration: ModelConfiguration { checked.configuration }

  /// Facts of the architecture, and the sizes of tensors by role.
  var blocks: [Report.Block] {
    [
      .facts(facts),
      .fields(
        [JSONMember]([
          "recipe": checked.checkpoint.recipe, "calibration": checked.checkpoint.calibration,
        ])),
      .table(encodings),
      .table(roles),
    ]
  }

  // MARK: - Facts

  private var facts: [Fact] {
    var facts = [architecture]
    if let attention = configuration.linearAttention {
      facts.append(
        Fact(
          "KDA",
          "\(attention.heads) heads of \(attention.headDimension), convolution over"
            + " \(attention.kernelSize) tokens"))
    }
    if let attention = configuration.latentAttention {
      let queries = attention.queryRank.map { ", queries through rank \($0)" } ?? ""
      facts.append(
        Fact(
          "MLA",
          "\(attention.heads) heads, latent \(attention.latentRank) + \(attention.ropeDimension),"
            + " keys \(attention.keyDimension), values \(attention.valueDimension)\(queries)"))
    }
    if let experts = configuration.experts {
      let groups =
        experts.groups > 1 ? ", \(experts.groupsPerToken) of \(experts.groups) groups" : ""
      facts.append(
        Fact(
          "experts",
          "\(configuration.layers.count { $0.hasExperts }) layers of \(experts.count),"
            + " \(experts.perToken) a token\(groups), \(experts.shared) shared, width"
            + " \(experts.width)"))
    }
    facts += [parameters, weights, contextCost]
    for (index, line) in recipeLines.enumerated() {
      facts.append(Fact(index == 0 ? "recipe" : "", line))
    }
    for (index, line) in CalibrationReport(checked.checkpoint.calibration).lines.enumerated() {
      facts.append(Fact(index == 0 ? "calibration" : "", line))
    }
    return facts
  }

  private var architecture: Fact {
    Fact(
      "architecture",
      "\(configuration.architecture), \(Quantities.counted(configuration.layers.count, "layer"))"
        + " (\(configuration.linearLayerCount) KDA, \(configuration.latentLayerCount) MLA), hidden"
        + " \(configuration.hiddenSize), vocabulary"
        + " \(Quantities.grouped(configuration.vocabularySize))",
      [
        "architecture": .string(configuration.architecture),
        "layers": .integer(configuration.layers.count),
        "kda_layers": .integer(configuration.linearLayerCount),
        "mla_layers": .integer(configuration.latentLayerCount),
        "moe_layers": .integer(configuration.layers.count { $0.hasExperts }),
        "hidden_size": .integer(configuration.hiddenSize),
        "vocabulary_size": .integer(configuration.vocabularySize),
        "experts": .integer(configuration.experts?.count ?? 0),
        "experts_per_token": .integer(configuration.experts?.perToken ?? 0),
        "shared_experts": .integer(configuration.experts?.shared ?? 0),
      ])
  }

  private var parameters: Fact {
    Fact(
      "parameters",
      "\(Quantities.count(summary.total.parameterCount)) in \(Quantities.counted(summary.total.tensorCount, "tensor")),"
        + " \(Quantities.count(summary.activeParameterCount)) active for a token",
      [
        "tensor_count": .integer(summary.total.tensorCount),
        "parameters": .integer(summary.total.parameterCount),
        "active_parameters": .integer(summary.activeParameterCount),
      ])
  }

  private var weights: Fact {
    Fact(
      "weights",
      "\(Quantities.bytes(summary.total.byteCount)),"
        + " \(summary.total.bitsPerWeight.decimalText(decimals: 3)) bits per weight: "
        + summary.byEncoding.map { "\(Quantities.bytes($0.share.byteCount)) \($0.encoding)" }
        .joined(separator: ", "),
      [
        "tensor_bytes": .integer(summary.total.byteCount),
        "bits_per_weight": .number(summary.total.bitsPerWeight),
      ])
  }

  /// The runtime keeps both in float32.
  private var contextCost: Fact {
    let cacheBytes = summary.cacheNumbersPerToken * 4
    let stateBytes = summary.stateNumbersPerSequence * 4
    return Fact(
      "context cost",
      "\(Quantities.bytes(cacheBytes)) a token (MLA,"
        + " \(Quantities.grouped(summary.cacheNumbersPerToken)) numbers) +"
        + " \(Quantities.bytes(stateBytes)) a sequence (KDA), in float32",
      [
        "cache_numbers_per_token": .integer(summary.cacheNumbersPerToken),
        "cache_bytes_per_token": .integer(cacheBytes),
        "state_bytes_per_sequence": .integer(stateBytes),
      ])
  }

  /// A line for each rule, and one for what no rule matches.
  private var recipeLines: [String] {
    guard case .array(let rules)? = checked.checkpoint.recipe["rules"] else { return [] }
    func text(_ value: JSONValue?) -> String {
      value.map { String(decoding: JSONWriter.compact($0), as: UTF8.self) } ?? ""
    }
    let method = text(checked.checkpoint.recipe["method"])
    return rules.map(text) + ["default \(text(checked.checkpoint.recipe["default"])), \(method)"]
  }

  // MARK: - Tables

  private var encodings: ReportTable {
    ReportTable(
      "encodings", form: .keyed, for: .programs, rows: summary.byEncoding,
      columns: [
        .data("encoding") { .text($0.encoding) },
        .data("tensors") { .count($0.share.tensorCount) },
        .data("parameters") { .count($0.share.parameterCount) },
        .data("bytes") { .bytes($0.share.byteCount) },
      ])
  }

  private var roles: ReportTable {
    let total = Double(max(summary.total.byteCount, 1))
    return ReportTable(
      "roles", form: .keyed, rows: summary.byRole,
      columns: [
        .text("role", "role") { .text($0.role.rawValue) },
        .number("tensors", "tensors", importance: 3) { .count($0.share.tensorCount) },
        .number("parameters", "parameters", importance: 5) { .count($0.share.parameterCount) },
        .number("bytes", "bytes", importance: 1) { .bytes($0.share.byteCount) },
        .number("share", "share", importance: 4) { .share(Double($0.share.byteCount) / total) },
        .number("bits_per_weight", "bits/weight", importance: 2) {
          .number($0.share.bitsPerWeight, .fixed(decimals: 3))
        },
        .text("encodings", "encoding", importance: 1) { role in
          .structured(
            .array(role.encodings.map { .string($0) }),
            text: role.encodings.joined(separator: ", "))
        },
      ])
  }
}

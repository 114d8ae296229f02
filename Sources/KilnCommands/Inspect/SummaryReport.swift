// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import KimiLinear
import Reports
import TensorCore

/// The summary of a model as text and as JSON.
struct SummaryReport {
  private let checked: CheckedCheckpoint
  private let summary: ModelSummary

  init(_ checked: CheckedCheckpoint) {
    self.checked = checked
    summary = ModelSummary(checked)
  }

  private var configuration: ModelConfiguration { checked.configuration }

  // MARK: - Text

  var text: String {
    var table = Table([("", .left), ("", .left)])
    table.add(["architecture", architecture])
    if let attention = configuration.linearAttention {
      table.add([
        "KDA",
        "\(attention.heads) heads of \(attention.headDimension), convolution over"
          + " \(attention.kernelSize) tokens",
      ])
    }
    if let attention = configuration.latentAttention {
      let queries = attention.queryRank.map { ", queries through rank \($0)" } ?? ""
      table.add([
        "MLA",
        "\(attention.heads) heads, latent \(attention.latentRank) + \(attention.ropeDimension),"
          + " keys \(attention.keyDimension), values \(attention.valueDimension)\(queries)",
      ])
    }
    if let experts = configuration.experts {
      let groups =
        experts.groups > 1 ? ", \(experts.groupsPerToken) of \(experts.groups) groups" : ""
      table.add([
        "experts",
        "\(configuration.layers.count { $0.hasExperts }) layers of \(experts.count),"
          + " \(experts.perToken) a token\(groups), \(experts.shared) shared, width"
          + " \(experts.width)",
      ])
    }
    table.add([
      "parameters",
      "\(Quantities.count(summary.total.parameterCount)) in \(summary.total.tensorCount) tensors,"
        + " \(Quantities.count(summary.activeParameterCount)) active for a token",
    ])
    table.add([
      "weights",
      "\(Quantities.bytes(summary.total.byteCount)),"
        + " \(summary.total.bitsPerWeight.decimalText(decimals: 3)) bits per weight: "
        + summary.byEncoding.map { "\(Quantities.bytes($0.share.byteCount)) \($0.encoding)" }
        .joined(separator: ", "),
    ])
    table.add(["context cost", contextCost])
    for (index, line) in recipeLines.enumerated() {
      table.add([index == 0 ? "recipe" : "", line])
    }
    for (index, line) in CalibrationReport(checked.checkpoint.calibration).lines.enumerated() {
      table.add([index == 0 ? "calibration" : "", line])
    }
    return table.text.drop { $0 == "\n" } + "\n\n" + roles
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

  private var architecture: String {
    "\(configuration.architecture), \(configuration.layers.count) layers"
      + " (\(configuration.linearLayerCount) KDA, \(configuration.latentLayerCount) MLA), hidden"
      + " \(configuration.hiddenSize), vocabulary \(Quantities.grouped(configuration.vocabularySize))"
  }

  /// The runtime keeps both in float32.
  private var contextCost: String {
    "\(Quantities.bytes(summary.cacheNumbersPerToken * 4)) a token (MLA,"
      + " \(Quantities.grouped(summary.cacheNumbersPerToken)) numbers) +"
      + " \(Quantities.bytes(summary.stateNumbersPerSequence * 4)) a sequence (KDA), in float32"
  }

  private var roles: String {
    var table = Table([
      ("role", .left), ("tensors", .right), ("parameters", .right), ("bytes", .right),
      ("share", .right), ("bits/weight", .right), ("encoding", .left),
    ])
    for (role, share, encodings) in summary.byRole {
      table.add([
        role.rawValue, Quantities.grouped(share.tensorCount),
        Quantities.grouped(share.parameterCount), Quantities.bytes(share.byteCount),
        Quantities.percent(Double(share.byteCount) / Double(max(summary.total.byteCount, 1))),
        share.bitsPerWeight.decimalText(decimals: 3), encodings.joined(separator: ", "),
      ])
    }
    return table.text
  }

  // MARK: - JSON

  var json: [JSONMember] {
    let value: JSONValue = [
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
      "tensor_count": .integer(summary.total.tensorCount),
      "parameters": .integer(summary.total.parameterCount),
      "active_parameters": .integer(summary.activeParameterCount),
      "tensor_bytes": .integer(summary.total.byteCount),
      "bits_per_weight": .number(summary.total.bitsPerWeight),
      "cache_numbers_per_token": .integer(summary.cacheNumbersPerToken),
      "cache_bytes_per_token": .integer(summary.cacheNumbersPerToken * 4),
      "state_bytes_per_sequence": .integer(summary.stateNumbersPerSequence * 4),
      "roles": .object(
        summary.byRole.map { role, share, encodings in
          JSONMember(
            key: ExactString(role.rawValue),
            value: [
              "tensors": .integer(share.tensorCount),
              "parameters": .integer(share.parameterCount),
              "bytes": .integer(share.byteCount),
              "bits_per_weight": .number(share.bitsPerWeight),
              "encodings": .array(encodings.map { .string($0) }),
            ])
        }),
      "encodings": .object(
        summary.byEncoding.map { encoding, share in
          JSONMember(
            key: ExactString(encoding),
            value: [
              "tensors": .integer(share.tensorCount),
              "parameters": .integer(share.parameterCount),
              "bytes": .integer(share.byteCount),
            ])
        }),
      "recipe": checked.checkpoint.recipe,
      "calibration": checked.checkpoint.calibration,
    ]
    guard case .object(let members) = value else { return [] }
    return members
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels
import KimiLinear
import Quantization
import TensorCore

extension SequentialQuantizer {
  /// Most experts that are worked on or wait for their turn: what they hold in memory is bounded, whatever the
  /// machine.
  private static let expertsAtATime = 8
  /// For an expert the moments of all tokens of the layer count as this many of its own.
  static let priorTokens = 64
  /// An expert with fewer tokens is called scarce.
  static let scarceTokens = 256

  /// Quantizes a dense feed-forward part and adds what it gives.
  func runDense(_ layer: Int) throws {
    let outputs = try runGated(
      layer, prefix: "model.layers.\(layer).mlp", norm: try weights(of: layer).feedForwardNorm
    ) { weights in
      if case .dense(let dense) = weights.feedForward { dense } else { nil }
    }
    if let outputs { add(outputs) }
  }

  /// Quantizes shared and routed experts and adds what they give.
  func runExperts(_ layer: Int, _ experts: ExpertWeights) throws {
    guard let stream else { return }
    let prefix = "model.layers.\(layer).block_sparse_moe"
    let norm = try weights(of: layer).feedForwardNorm
    let shared = try runGated(layer, prefix: "\(prefix).shared_experts", norm: norm) { weights in
      if case .experts(let experts) = weights.feedForward { experts.shared } else { nil }
    }
    var outputs = shared ?? Matrix(rows: stream.hidden.rows, columns: stream.hidden.columns)
    var collected = Routing(expertCount: experts.experts.count)
    for batch in stream.batches {
      collected.add(
        stages.choices(stages.normalized(stream.hidden.rows(batch.rows), weight: norm), experts),
        firstToken: batch.rows.lowerBound)
    }
    let routing = collected
    keep(
      ExpertCoverage(
        layer: layer, tokenCounts: routing.tokens.map(\.count), threshold: Self.scarceTokens))
    let alone = Workers(count: 1)
    let work = ExpertWork(
      source: source, targets: targets, stream: stream, norm: norm,
      layerMoments: try moments(norm, of: prefix) { $0 }, finite: finite,
      rounder: TensorRounder(rounding: rounding, workers: alone),
      stages: LayerStages(
        source.configuration, options: Model.Options(kernel: options.kernel, workers: alone)))
    var next = experts.experts.indices[...]
    try options.workers.inOrder(
      ahead: Self.expertsAtATime, next: { next.popFirst() },
      transform: { index in
        (
          index,
          Result {
            try work.run(
              prefix: "\(prefix).experts.\(index)", original: experts.experts[index],
              tokens: routing.tokens[index], weights: routing.weights[index])
          }
        )
      },
      consume: { index, result in
        let expert = try result.get()
        for (name, tensor) in expert.quantized { keep(tensor, as: name) }
        outputs.add(
          expert.outputs, times: routing.weights[index], toRows: routing.tokens[index])
      })
    add(outputs)
  }

  private func add(_ outputs: Matrix) {
    guard var stream else { return }
    self.stream = nil
    stream.hidden.add(outputs, workers: options.workers)
    self.stream = stream
  }

  /// Quantizes a gated feed-forward part that every token goes through.
  ///
  /// - Returns: What it gives, `[N, d]`; nil if the layer has no such part.
  private func runGated(
    _ layer: Int, prefix: String, norm: [Float],
    _ part: (ModelWeights.Layer) -> FeedForwardWeights?
  ) throws -> Matrix? {
    guard let stream, part(try weights(of: layer)) != nil else { return nil }
    try quantize(
      ["\(prefix).gate_proj.weight", "\(prefix).up_proj.weight"],
      knowing: metric(norm, of: prefix) { $0 })
    guard let raised = part(try weights(of: layer)) else { return nil }
    try quantize(
      ["\(prefix).down_proj.weight"],
      knowing: metric(norm, of: "\(prefix).down_proj") {
        raised.hidden($0, workers: self.options.workers)
      })
    guard let quantized = part(try weights(of: layer)) else { return nil }
    var outputs = Matrix(rows: stream.hidden.rows, columns: stream.hidden.columns)
    for batch in stream.batches {
      let input = stages.normalized(stream.hidden.rows(batch.rows), weight: norm)
      var part = Matrix(rows: input.rows, columns: input.columns)
      FeedForwardMixture.add(
        input, through: [quantized.member(ofAll: input.rows)], to: &part, workers: options.workers)
      outputs.add(part, toRowsFrom: batch.rows.lowerBound)
    }
    return outputs
  }
}

/// Which tokens go to which expert.
struct Routing: Sendable {
  /// Rows of each expert's tokens, ascending.
  private(set) var tokens: [[Int]]
  /// The weight that each of them gives the expert.
  private(set) var weights: [[Float]]

  /// No tokens yet.
  init(expertCount: Int) {
    tokens = [[Int]](repeating: [], count: expertCount)
    weights = [[Float]](repeating: [], count: expertCount)
  }

  /// Adds the choices of consecutive tokens.
  mutating func add(_ routed: RoutedTokens, firstToken: Int) {
    for (index, choice) in routed.choices.enumerated() {
      tokens[choice.expert].append(firstToken + index / routed.expertsPerToken)
      weights[choice.expert].append(choice.weight)
    }
  }
}

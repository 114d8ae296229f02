// SPDX-License-Identifier: Apache-2.0

import Kernels
import KimiLinear
import Quantization
import TensorCore

extension SequentialQuantizer {
  /// One layer: its attention, then its feed-forward part.
  func runLayer(_ layer: Int) throws {
    try runAttention(layer)
    switch try weights(of: layer).feedForward {
    case .dense: try runDense(layer)
    case .experts(let experts): try runExperts(layer, experts)
    }
  }

  /// Quantizes the projections of an attention and adds what it gives to the hidden states.
  private func runAttention(_ layer: Int) throws {
    guard var stream else { return }
    let prefix = "model.layers.\(layer).self_attn"
    let before = try weights(of: layer)
    switch before.attention {
    case .linear:
      try quantize(
        ["q_proj", "k_proj", "v_proj"].map { "\(prefix).\($0).weight" },
        knowing: metric(before.inputNorm, of: prefix) { $0 })
    case .latent(let weights):
      try runLatentProjections(prefix, weights, norm: before.inputNorm, layer: layer)
    }

    // What the attention mixes is needed twice: for the moments, and for the outputs.
    let attention = try weights(of: layer).attention
    let width = attention.output.shape.columns
    var mixed = Matrix(rows: stream.hidden.rows, columns: width)
    var collected = SecondMoments(dimension: width)
    let batches = stream.batches
    for (index, batch) in batches.enumerated() {
      let part = stages.mixed(
        stages.normalized(stream.hidden.rows(batch.rows), weight: before.inputNorm), attention,
        sequences: batch.sequences)
      try finite.check(part, "inputs of \(prefix).o_proj")
      mixed.add(part, toRowsFrom: batch.rows.lowerBound)
      collected.add(part, workers: options.workers)
      report(
        unfinished: ("\(prefix).o_proj.weight", Double(index + 1) / Double(batches.count) * 0.8))
    }
    try quantize(["\(prefix).o_proj.weight"], knowing: .of(collected))
    let output = try weights(of: layer).attention.output
    self.stream = nil
    for batch in stream.batches {
      stream.hidden.add(
        WeightProduct.multiply(mixed.rows(batch.rows), by: output, workers: options.workers),
        toRowsFrom: batch.rows.lowerBound)
    }
    self.stream = stream
  }

  private func runLatentProjections(
    _ prefix: String, _ weights: LatentAttentionWeights, norm: [Float], layer: Int
  ) throws {
    let isLowRank = weights.queryDown != nil
    try quantize(
      [isLowRank ? "q_a_proj" : "q_proj", "kv_a_proj_with_mqa"].map { "\(prefix).\($0).weight" },
      knowing: metric(norm, of: prefix) { $0 })
    guard case .latent(let quantized) = try self.weights(of: layer).attention else { return }
    if isLowRank {
      try quantize(
        ["\(prefix).q_b_proj.weight"],
        knowing: metric(norm, of: "\(prefix).q_b_proj") { self.stages.queryInput($0, quantized) })
    }
    try quantize(
      ["\(prefix).kv_b_proj.weight"],
      knowing: metric(norm, of: "\(prefix).kv_b_proj") { self.stages.latents($0, quantized) })
  }

  /// Moments of something that is computed from the normalised hidden states of each token alone.
  ///
  /// - Parameters:
  ///   - norm: Weights of the norm.
  ///   - place: What the inputs are those of, for errors.
  ///   - inputs: Gives the inputs of a product for normalised hidden states.
  /// - Returns: What is known about the inputs.
  /// - Throws: `CalibrationError.activationsNotFinite`.
  func metric(
    _ norm: [Float], of place: String, inputs: (_ normalized: Matrix) -> Matrix
  ) throws -> InputKnowledge {
    try moments(norm, of: place, inputs: inputs).map { .of($0) } ?? .failure(.moments(.noTokens))
  }

  /// The same moments as they were summed; nil if there are no tokens.
  func moments(
    _ norm: [Float], of place: String, inputs: (_ normalized: Matrix) -> Matrix
  ) throws -> SecondMoments? {
    guard let stream else { return nil }
    var collected: SecondMoments?
    for batch in stream.batches {
      let part = inputs(stages.normalized(stream.hidden.rows(batch.rows), weight: norm))
      try finite.check(part, "inputs of \(place)")
      var sums = collected ?? SecondMoments(dimension: part.columns)
      collected = nil
      sums.add(part, workers: options.workers)
      collected = sums
    }
    return collected
  }
}

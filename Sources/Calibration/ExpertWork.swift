// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
import KimiLinear
import Quantization
import TensorCore

/// Quantizes the experts of one layer, each on one thread.
struct ExpertWork: Sendable {
  let source: CheckedCheckpoint
  let targets: [ExactString: SequentialQuantizer.Target]
  let stream: TokenStream
  let norm: [Float]
  /// Moments of all tokens of the layer.
  let layerMoments: SecondMoments?
  let finite: FiniteCheck
  let rounder: TensorRounder
  let stages: LayerStages

  /// Tokens of the layer that stand for those that an expert lacks.
  private static let standInTokens = 1024

  /// An expert that was quantized.
  struct Expert: Sendable {
    var quantized: [(name: ExactString, tensor: QuantizedTensor)] = []
    /// What it gives its tokens, `[N, d]`.
    var outputs: Matrix
  }

  /// Quantizes one expert.
  ///
  /// - Parameters:
  ///   - prefix: Its name, without a matrix.
  ///   - original: Its weights.
  ///   - tokens: Rows of the tokens that go to it.
  ///   - weights: What it counts for each of them.
  /// - Returns: Its matrices, and what it gives.
  /// - Throws: As `TensorRounder.quantize`.
  func run(
    prefix: String, original: FeedForwardWeights, tokens: [Int], weights: [Float]
  ) throws -> Expert {
    let alone = Workers(count: 1)
    let inputs = normalized(tokens)
    var expert = Expert(outputs: Matrix(rows: 0, columns: inputs.columns))
    func quantize(_ name: String, _ inputs: InputKnowledge) throws -> EncodedTensor? {
      let name = ExactString("\(prefix).\(name).weight")
      guard let target = targets[name], let stored = source.tensors[name] else { return nil }
      let quantized = try rounder.quantize(stored, as: target, knowing: inputs)
      expert.quantized.append((name, quantized))
      return quantized.tensor
    }

    var collected = SecondMoments(dimension: inputs.columns)
    collected.add(inputs, weights: weights, workers: alone)
    let known = knowledge(of: collected, prior: layerMoments)
    let gate = try quantize("w1", known) ?? original.gate
    let up = try quantize("w3", known) ?? original.up
    let raised = FeedForwardWeights(gate: gate, up: up, down: original.down)

    let hidden = raised.hidden(inputs, workers: alone)
    try finite.check(hidden, "inputs of \(prefix).w2")
    var collectedHidden = SecondMoments(dimension: hidden.columns)
    collectedHidden.add(hidden, weights: weights, workers: alone)
    let isScarce = tokens.count < SequentialQuantizer.scarceTokens
    let down =
      try quantize(
        "w2", knowledge(of: collectedHidden, prior: isScarce ? standInMoments(raised) : nil))
      ?? original.down
    expert.outputs = WeightProduct.multiply(hidden, by: down, workers: alone)
    return expert
  }

  private func normalized(_ tokens: [Int]) -> Matrix {
    stages.normalized(stream.hidden.gather(tokens, workers: Workers(count: 1)), weight: norm)
  }

  /// What an expert's own tokens tell, or the prior's where they are of no use.
  private func knowledge(of own: SecondMoments, prior: SecondMoments?) -> InputKnowledge {
    let known = InputKnowledge.of(
      own, prior: prior, priorTokens: SequentialQuantizer.priorTokens)
    guard case .failure = known, let prior else { return known }
    return .of(prior)
  }

  /// Moments of the expert's hidden layer if tokens of the whole layer were sent to it.
  private func standInMoments(_ expert: FeedForwardWeights) -> SecondMoments {
    let rows = stream.hidden.rows
    let count = min(rows, Self.standInTokens)
    let hidden = expert.hidden(
      normalized((0..<count).map { $0 * rows / count }), workers: Workers(count: 1))
    var moments = SecondMoments(dimension: hidden.columns)
    moments.add(hidden, workers: Workers(count: 1))
    return moments
  }
}

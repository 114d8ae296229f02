// SPDX-License-Identifier: Apache-2.0

import Calibration
import Kernels
import KimiLinear
import Quantization
import TensorCore
import TestSupport
import Testing

/// Experts are rounded for their own tokens, and those that have few of them for others that stand in.
@Suite struct ExpertCalibrationTests {
  private static let prefix = "model.layers.0.block_sparse_moe"

  /// One layer whose attention adds nothing, so that what the experts get is the normalized embedding of a token;
  /// tokens go to experts by `biases`.
  private func model(biases: [Float], in folder: TemporaryFolder) throws -> CalibrationModel {
    let checkpoint = TinyCheckpoint { ($0.isLinear, $0.denseLayers) = ([true], 0) }
    let width = checkpoint.linearHeads * checkpoint.linearHeadDimension
    return try CalibrationModel(
      checkpoint,
      changing: [
        "model.layers.0.self_attn.o_proj.weight": [Float](
          repeating: 0, count: width * checkpoint.hiddenSize),
        "\(Self.prefix).gate.e_score_correction_bias": biases,
      ], in: folder)
  }

  private func tokens(_ count: Int, seed: UInt64) -> [Int] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Int.random(in: 0..<96, using: &random) }
  }

  private func each(_ tokens: ArraySlice<Int>, times: Int) -> [Int] {
    tokens.flatMap { Array(repeating: $0, count: times) }
  }

  @Test func `an expert without tokens is rounded for tokens from all of the text`() throws {
    try TemporaryFolder.with { folder in
      let model = try model(biases: [0, 0, 0, -100], in: folder)
      let name = "\(Self.prefix).experts.3.w2.weight"
      func bytes(_ tokens: [Int]) throws -> [UInt8] {
        try model.quantizer([name], method: .gptq, tokens: tokens, context: 1024)
          .take(ExactString(name)).bytes
      }
      // Every second one of 2,048 tokens stands in, every third of 3,072: in texts that say everything twice, or three
      // times, these are the tokens of the text that says it once.
      let once = tokens(1024, seed: 1)
      let expected = try bytes(once)
      for times in [2, 3] { #expect(try bytes(each(once[...], times: times)) == expected) }
      // It matters which they are.
      #expect(try bytes(each(once[..<512], times: 2)) != expected)
      #expect(try bytes(each(once[512...], times: 2)) != expected)
    }
  }

  @Test func `tokens are counted for each expert`() throws {
    try TemporaryFolder.with { folder in
      let model = try model(biases: [100, -100, 50, -100], in: folder)
      // Two experts get every token, and fewer than 256 are few.
      for (count, scarce) in [(255, 2), (256, 0)] {
        let quantizer = try model.quantizer(
          [], method: .gptq, tokens: tokens(count, seed: 2), context: count)
        try quantizer.finish()
        #expect(
          quantizer.coverage == [
            ExpertCoverage(layer: 0, tokenCounts: [count, 0, count, 0], threshold: 256)
          ])
        #expect(quantizer.coverage.map(\.unseenCount) == [2])
        #expect(quantizer.coverage.map(\.scarceCount) == [scarce])
      }
    }
  }

  @Test func `an expert counts tokens by their weights, and those of the layer as 64`() throws {
    try TemporaryFolder.with { folder in
      let model = try model(biases: [100, -100, 50, -100], in: folder)
      let names = ["w1", "w3", "w2"].map { "\(Self.prefix).experts.0.\($0).weight" }
      let tokens = tokens(192, seed: 3)
      let quantizer = try model.quantizer(
        names, method: .roundToNearest, tokens: tokens, context: 96)
      let found = try names.map { try quantizer.take(ExactString($0)) }

      // The same in double precision.
      let embedding = try model.matrix("model.embed_tokens.weight")
      let norm = try model.elements("model.layers.0.post_attention_layernorm.weight")
      let inputs = tokens.map { token in
        PlainArithmetic.normalized(
          embedding.row(token).map { Double($0) }, weight: norm,
          epsilon: model.source.configuration.normEpsilon)
      }
      let router = try model.matrix("\(Self.prefix).gate.weight")
      // Scores of the two that are chosen make 1, times the factor of the configuration.
      let weights = inputs.map { input -> Double in
        let scores = PlainArithmetic.product(input, router).map(PlainArithmetic.sigmoid)
        return 1.5 * scores[0] / (scores[0] + scores[2])
      }
      func blended(_ own: [[Double]], _ all: [[Double]]) -> [[Double]] {
        func trace(_ moments: [[Double]]) -> Double {
          moments.indices.reduce(0) { $0 + moments[$1][$1] }
        }
        let (share, factor) = (64.0 / (64 + 192), trace(own) / trace(all))
        return zip(own, all).map { own, all in
          zip(own, all).map { (1 - share) * $0 + share * factor * $1 }
        }
      }
      let moments = blended(
        Squares.moments(inputs, weights: weights), Squares.moments(inputs))
      for (quantized, name) in zip(found, names).prefix(2) {
        let expected = Squares.outputError(
          quantized.values, try model.matrix(name), moments: moments)
        #expect(
          abs(try #require(quantized.outputError).relative - expected) <= 1e-4 * expected, "\(name)"
        )
      }
      // The last one gets what the rounded others give; it is scarce, so that all tokens stand in.
      let hidden = inputs.map {
        PlainArithmetic.hidden($0, gate: found[0].values, up: found[1].values)
      }
      let expected = Squares.outputError(
        found[2].values, try model.matrix(names[2]),
        moments: blended(Squares.moments(hidden, weights: weights), Squares.moments(hidden)))
      #expect(abs(try #require(found[2].outputError).relative - expected) <= 1e-4 * expected)
    }
  }

  @Test func `an expert with 256 tokens needs no others to stand in for its last matrix`() throws {
    try TemporaryFolder.with { folder in
      let model = try model(biases: [100, -100, 50, -100], in: folder)
      let name = "\(Self.prefix).experts.0.w2.weight"
      let embedding = try model.matrix("model.embed_tokens.weight")
      let norm = try model.elements("model.layers.0.post_attention_layernorm.weight")
      let (gate, up) = (
        try model.matrix("\(Self.prefix).experts.0.w1.weight"),
        try model.matrix("\(Self.prefix).experts.0.w3.weight")
      )
      let tokens = tokens(256, seed: 4)
      let found = try model.quantizer(
        [name], method: .roundToNearest, tokens: tokens, context: 256
      ).take(ExactString(name))
      let router = try model.matrix("\(Self.prefix).gate.weight")
      var (hidden, weights): ([[Double]], [Double]) = ([], [])
      for token in tokens {
        let input = PlainArithmetic.normalized(
          embedding.row(token).map { Double($0) }, weight: norm,
          epsilon: model.source.configuration.normEpsilon)
        let scores = PlainArithmetic.product(input, router).map(PlainArithmetic.sigmoid)
        hidden.append(PlainArithmetic.hidden(input, gate: gate, up: up))
        weights.append(1.5 * scores[0] / (scores[0] + scores[2]))
      }
      let expected = Squares.outputError(
        found.values, try model.matrix(name), moments: Squares.moments(hidden, weights: weights))
      #expect(abs(try #require(found.outputError).relative - expected) <= 1e-4 * expected)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Kernels
import KimiLinear
import Quantization
import TensorCore
import TestSupport
import Testing

/// Each matrix is rounded for the inputs that it will have, whatever the length of the text.
@Suite struct SequentialQuantizerTests {
  /// All matrices that a recipe may quantize, in the order in which they are handed out.
  private func names(_ model: CalibrationModel, where isWanted: (String) -> Bool) -> [String] {
    AllocationUnit.all(of: model.source).flatMap(\.tensors).map(\.name.text).filter(isWanted)
  }

  /// Tensors by name, as a calibration by a text makes them, and the coverage of the experts.
  private func run(
    _ model: CalibrationModel, _ names: [String], tokens: [Int], context: Int
  ) throws -> (tensors: [String: QuantizedTensor], coverage: [ExpertCoverage]) {
    let quantizer = try model.quantizer(names, method: .gptq, tokens: tokens, context: context)
    var tensors: [String: QuantizedTensor] = [:]
    for name in names { tensors[name] = try quantizer.take(ExactString(name)) }
    try quantizer.finish()
    return (tensors, quantizer.coverage)
  }

  @Test(arguments: [nil, 32] as [Int?])
  func `a text four times over gives the bytes that it gives once`(queryRank: Int?) throws {
    try TemporaryFolder.with { folder in
      let model = try CalibrationModel(
        TinyCheckpoint { $0.queryRank = queryRank }, in: folder)
      // Experts with few tokens would not be rounded alike: they stay as they are, but all tokens go through them.
      let names = names(model) { !$0.contains("experts.") || $0.contains("shared_experts") }
      #expect(names.count > 20)
      var random = SeededGenerator(seed: 6)
      let text = (0..<1024).map { _ in Int.random(in: 0..<96, using: &random) }
      let once = try run(model, names, tokens: text, context: 512)
      // More than the 2,048 tokens that go through an attention together.
      let often = try run(
        model, names, tokens: [text, text, text, text].flatMap(\.self), context: 512)
      for name in names {
        #expect(once.tensors[name]?.bytes == often.tensors[name]?.bytes, "\(name)")
        #expect(once.tensors[name]?.outputError == often.tensors[name]?.outputError, "\(name)")
      }
      #expect(once.coverage.map(\.layer) == [1, 2])
      for (once, often) in zip(once.coverage, often.coverage) {
        #expect(often.tokenCounts == once.tokenCounts.map { 4 * $0 })
        #expect(once.tokenCounts.reduce(0, +) == 2 * text.count)
      }
    }
  }

  @Test func `the last matrix of a dense layer gets what the rounded others give`() throws {
    try TemporaryFolder.with { folder in
      let checkpoint = TinyCheckpoint { $0.isLinear = [true] }
      // An attention that adds nothing: the feed-forward part gets the normalized embedding.
      let model = try CalibrationModel(
        checkpoint,
        changing: [
          "model.layers.0.self_attn.o_proj.weight": [Float](
            repeating: 0, count: 32 * checkpoint.hiddenSize)
        ], in: folder)
      let names = ["gate_proj", "up_proj", "down_proj"].map { "model.layers.0.mlp.\($0).weight" }
      let tokens = (0..<96).map { $0 }
      let quantizer = try model.quantizer(
        names, method: .roundToNearest, tokens: tokens, context: 48)
      let found = try names.map { try quantizer.take(ExactString($0)) }

      let embedding = try model.matrix("model.embed_tokens.weight")
      let norm = try model.elements("model.layers.0.post_attention_layernorm.weight")
      let inputs = tokens.map { token in
        PlainArithmetic.normalized(
          embedding.row(token).map { Double($0) }, weight: norm,
          epsilon: model.source.configuration.normEpsilon)
      }
      let hidden = inputs.map {
        PlainArithmetic.hidden($0, gate: found[0].values, up: found[1].values)
      }
      for (index, moments) in [inputs, inputs, hidden].map({ Squares.moments($0) }).enumerated() {
        let expected = Squares.outputError(
          found[index].values, try model.matrix(names[index]), moments: moments)
        #expect(
          abs(try #require(found[index].outputError).relative - expected) <= 1e-4 * expected,
          "\(names[index])")
      }
    }
  }

  @Test func `what MLA projects from latents gets the rounded ones, normalized`() throws {
    try TemporaryFolder.with { folder in
      let model = try CalibrationModel(
        TinyCheckpoint { ($0.isLinear, $0.queryRank) = ([false], 32) }, in: folder)
      let prefix = "model.layers.0.self_attn"
      let names = ["q_a_proj", "kv_a_proj_with_mqa", "q_b_proj", "kv_b_proj"].map {
        "\(prefix).\($0).weight"
      }
      let tokens = (0..<96).map { $0 }
      let quantizer = try model.quantizer(
        names, method: .roundToNearest, tokens: tokens, context: 48)
      let found = try names.map { try quantizer.take(ExactString($0)) }

      let epsilon = model.source.configuration.normEpsilon
      let embedding = try model.matrix("model.embed_tokens.weight")
      let norm = try model.elements("model.layers.0.input_layernorm.weight")
      let inputs = tokens.map { token in
        PlainArithmetic.normalized(
          embedding.row(token).map { Double($0) }, weight: norm, epsilon: epsilon)
      }
      func latents(_ matrix: Matrix, _ norm: String) throws -> [[Double]] {
        let weight = try model.elements("\(prefix).\(norm).weight")
        return inputs.map { input in
          PlainArithmetic.normalized(
            Array(PlainArithmetic.product(input, matrix).prefix(weight.count)), weight: weight,
            epsilon: epsilon)
        }
      }
      let all = [
        inputs, inputs, try latents(found[0].values, "q_a_layernorm"),
        try latents(found[1].values, "kv_a_layernorm"),
      ]
      for (index, moments) in all.map({ Squares.moments($0) }).enumerated() {
        let expected = Squares.outputError(
          found[index].values, try model.matrix(names[index]), moments: moments)
        #expect(
          abs(try #require(found[index].outputError).relative - expected) <= 1e-4 * expected,
          "\(names[index])")
      }
    }
  }

  @Test func `the head gets hidden states behind the last norm`() throws {
    try TemporaryFolder.with { folder in
      let checkpoint = TinyCheckpoint { $0.isLinear = [true] }
      // A layer that adds nothing.
      let model = try CalibrationModel(
        checkpoint,
        changing: [
          "model.layers.0.self_attn.o_proj.weight": [Float](
            repeating: 0, count: 32 * checkpoint.hiddenSize),
          "model.layers.0.mlp.down_proj.weight": [Float](
            repeating: 0, count: checkpoint.hiddenSize * checkpoint.intermediateSize),
        ], in: folder)
      let tokens = Array(0..<96)
      let found = try model.quantizer(
        ["lm_head.weight"], method: .roundToNearest, tokens: tokens, context: 48
      ).take("lm_head.weight")
      let embedding = try model.matrix("model.embed_tokens.weight")
      let norm = try model.elements("model.norm.weight")
      let inputs = tokens.map { token in
        PlainArithmetic.normalized(
          embedding.row(token).map { Double($0) }, weight: norm,
          epsilon: model.source.configuration.normEpsilon)
      }
      let expected = Squares.outputError(
        found.values, try model.matrix("lm_head.weight"), moments: Squares.moments(inputs))
      #expect(abs(try #require(found.outputError).relative - expected) <= 1e-4 * expected)
    }
  }

  @Test func `each matrix gets what the rounded ones before it give`() throws {
    try TemporaryFolder.with { folder in
      let checkpoint = TinyCheckpoint { $0.queryRank = 32 }
      let model = try CalibrationModel(checkpoint, in: folder)
      let names = names(model) { _ in true }
      let tokens = (0..<120).map { $0 * 29 % 96 }
      // Codes that do not depend on inputs: then only what is said about outputs does.
      let all = try model.quantizer(
        names, method: .roundToNearest, tokens: tokens, context: 40)
      let found = try names.map { try all.take(ExactString($0)) }
      try all.finish()
      let order = all.measurements.map(\.name.text)
      #expect(Set(order) == Set(names) && order.count == names.count)
      for name in [
        "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj",
        "model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj",
        "model.layers.1.self_attn.o_proj", "model.layers.1.block_sparse_moe.experts.0.w2",
        "model.layers.1.block_sparse_moe.shared_experts.down_proj",
        "model.layers.2.self_attn.q_b_proj", "model.layers.2.self_attn.o_proj",
        "model.layers.2.block_sparse_moe.experts.3.w3", "lm_head",
      ].map({ "\($0).weight" }) {
        // The model with the matrices before it as they were rounded, and nothing else to be done.
        var before: [String: [Float]] = [:]
        for earlier in order.prefix(while: { $0 != name }) {
          let index = try #require(names.firstIndex(of: earlier))
          before[earlier] = found[index].values.elements
        }
        let partly = try CalibrationModel(checkpoint, changing: before, in: folder, as: name)
        let alone = try partly.quantizer(
          [name], method: .roundToNearest, tokens: tokens, context: 40
        ).take(ExactString(name))
        let together = found[try #require(names.firstIndex(of: name))]
        #expect(alone.bytes == together.bytes)
        let expected = try #require(alone.outputError).relative
        #expect(
          abs(try #require(together.outputError).relative - expected) <= 1e-5 * expected, "\(name)")
      }
    }
  }

  @Test func `tokens outside the vocabulary are refused`() throws {
    try TemporaryFolder.with { folder in
      let model = try CalibrationModel(TinyCheckpoint(), in: folder)
      for token in [96, -1] {
        #expect(throws: ModelError.tokenOutOfRange(id: token, vocabularySize: 96)) {
          try model.quantizer([], method: .gptq, tokens: [0, token], context: 2)
        }
      }
      #expect(throws: Never.self) {
        try model.quantizer([], method: .gptq, tokens: [0, 95], context: 2)
      }
    }
  }
}

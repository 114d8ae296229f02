// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Kernels
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Decoding token by token is the model run as a whole.
@Suite struct DecoderTests {
  private func options(_ limit: Int, threads: Int = 2) -> Decoder.Options {
    Decoder.Options(workers: Workers(count: threads), contextLimit: limit)
  }

  /// Logits `[N, vocabulary]`, the first `prompt` tokens in one run.
  private func logits(
    _ model: Model, _ tokens: [Int], prompt: Int = 1, threads: Int = 2
  ) throws -> Matrix {
    let decoder = try Decoder(model, options: options(tokens.count, threads: threads))
    try decoder.run(prompt: Array(tokens[..<prompt]))
    var elements = decoder.withLogits { [Float](copying: $0) }
    for token in tokens[prompt...] {
      try decoder.step(token)
      elements += decoder.withLogits { [Float](copying: $0) }
    }
    #expect(decoder.tokenCount == tokens.count)
    return Matrix(
      rows: tokens.count - prompt + 1, columns: model.configuration.vocabularySize,
      elements: elements)
  }

  private func withModel(_ checkpoint: TinyCheckpoint, _ body: (ModelRunner) throws -> Void) throws
  {
    try TemporaryFolder.with { folder in
      try body(try ModelRunner(try checkpoint.write(to: folder)))
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `token by token is the same as the whole`(checkpoint: TinyCheckpoint) throws {
    try withModel(checkpoint) { runner in
      let tokens = runner.tokens(40, seed: 31)
      let whole = try runner.logits(tokens)
      for prompt in [1, 2, 17, 40] {
        let stepped = try logits(runner.model, tokens, prompt: prompt)
        let expected = ModelRunner.rows(prompt - 1..<40, of: whole)
        #expect(largestDifference(stepped, expected) < 1e-4, "a prompt of \(prompt)")
      }
    }
  }

  @Test func `a state fits that fills the context, and no longer one`() throws {
    try withModel(TinyCheckpoint("KDA") { $0.isLinear = [true, true] }) { runner in
      let decoder = try Decoder(runner.model, options: options(8))
      var states = [SequenceState(runner.model.configuration)]
      func run(_ tokens: [Int]) throws {
        _ = try runner.model.run(
          tokens, sequences: [0..<tokens.count], states: &states,
          options: Model.Options(kernel: .recurrent, workers: Workers(count: 1)))
      }
      try run(runner.tokens(8, seed: 36))
      try decoder.take(states[0])
      #expect(decoder.tokenCount == 8)
      try run(runner.tokens(1, seed: 37))
      #expect(throws: ModelError.contextFull(model: runner.model.name, limit: 8)) {
        try decoder.take(states[0])
      }
    }
  }

  @Test func `a state of another model is refused`() throws {
    try withModel(TinyCheckpoint("KDA") { $0.isLinear = [true, true] }) { one in
      try withModel(TinyCheckpoint("MLA") { $0.isLinear = [false, false] }) { other in
        let decoder = try Decoder(one.model, options: options(8))
        #expect(throws: ModelError.foreignState(model: one.model.name)) {
          try decoder.take(SequenceState(other.model.configuration))
        }
      }
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `results do not depend on the number of threads`(checkpoint: TinyCheckpoint) throws {
    try withModel(checkpoint) { runner in
      let tokens = runner.tokens(12, seed: 32)
      let single = try logits(runner.model, tokens, threads: 1)
      for threads in [2, 3, 8] {
        #expect(areIdentical(single, try logits(runner.model, tokens, threads: threads)))
      }
    }
  }

  @Test(arguments: ["int4-g32", "int5-g32", "int6-g32", "int8-g32", "int8-row", "int4-row"])
  func `quantized weights decode as they are run`(scheme: String) throws {
    let encoding = try #require(TensorEncoding(schemeName: scheme))
    try TemporaryFolder.with { folder in
      let packed = folder.path.appending("x.kiln")
      let plan = try PackingPlan(
        try CheckedCheckpoint(try Checkpoint(nanoPath)),
        recipe: Recipe(defaultFor: encoding, method: .roundToNearest), producer: "test")
      _ = try Packing(plan, workers: Workers(count: 2)).run(
        to: packed, replacing: false, progress: { _ in })
      let runner = try ModelRunner(packed)
      let tokens = runner.tokens(60, seed: 33)
      let whole = try runner.logits(tokens)
      let stepped = try logits(runner.model, tokens)
      #expect(largestDifference(stepped, whole) < 1e-4)
      #expect(areIdentical(stepped, try logits(runner.model, tokens, threads: 1)))
    }
  }

  @Test func `the trained model decodes as it runs, beyond a segment of the cache`() throws {
    let runner = try ModelRunner(nanoPath)
    let tokens = runner.tokens(400, seed: 34)
    let whole = try runner.logits(tokens)
    let stepped = try logits(runner.model, tokens, prompt: 100)
    #expect(largestDifference(stepped, ModelRunner.rows(99..<400, of: whole)) < 1e-4)
  }

  @Test func `a context is filled with the same numbers by any number of threads`() throws {
    let model = try ModelRunner(nanoPath).model
    let runs = try [1, 2, 5].map { threads in
      let decoder = try Decoder(model, options: options(3001, threads: threads))
      try decoder.fillSynthetically(tokens: 3000, seed: 7)
      try decoder.step(5)
      return decoder.withLogits { [Float](copying: $0) }
    }
    #expect(runs[0].allSatisfy { $0.isFinite })
    #expect(runs[0] == runs[1] && runs[0] == runs[2])
    let decoder = try Decoder(model, options: options(3001))
    #expect(decoder.cacheBytes == model.configuration.stateNumbers(tokens: 0) * 4)
    try decoder.fillSynthetically(tokens: 3000, seed: 8)
    #expect(decoder.cacheBytes == model.configuration.stateNumbers(tokens: 3000) * 4)
    try decoder.step(5)
    let other = decoder.withLogits { [Float](copying: $0) }
    #expect(other != runs[0])
  }

  @Test func `what does not fit is refused`() throws {
    let model = try ModelRunner(nanoPath).model
    let decoder = try Decoder(model, options: options(3))
    let full = ModelError.contextFull(model: model.name, limit: 3)
    #expect(throws: full) { try decoder.run(prompt: [1, 2, 3, 4]) }
    #expect(decoder.tokenCount == 0)
    try decoder.run(prompt: [1, 2, 3])
    #expect(throws: full) { try decoder.step(4) }
    #expect(throws: full) { try decoder.fillSynthetically(tokens: 4, seed: 1) }
    #expect(throws: ModelError.self) { try decoder.run(prompt: [1]) }
    let size = model.configuration.vocabularySize
    for id in [-1, size, Int.max, Int.min] {
      #expect(throws: ModelError.tokenOutOfRange(id: id, vocabularySize: size)) {
        try Decoder(model, options: options(3)).step(id)
      }
    }
    for limit in [Int.max, 1 << 50] {
      #expect(throws: ModelError.self) { try Decoder(model, options: options(limit)) }
    }
  }
}

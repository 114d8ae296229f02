// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Evaluation
import Glibc
import Kernels
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

@Suite struct PerplexityTests {
  private static let tokens: [Int] = {
    var generator = SeededGenerator(seed: 11)
    return (0..<700).map { _ in Int.random(in: 0..<1792, using: &generator) }
  }()

  private struct Outcome {
    var tokens: [ScoredToken] = []
    var summary: PerplexitySummary
  }

  private func score(
    context: Int, threads: Int = 2, stride: Int? = nil, tokens: [Int] = tokens
  ) throws -> Outcome {
    let model = try Model(CheckedCheckpoint(Checkpoint(Fixtures.nano)))
    let run = PerplexityRun(
      try WindowRun(
        model, tokens: tokens,
        windows: TokenWindows(tokenCount: tokens.count, context: context, stride: stride),
        options: Model.Options(kernel: .chunkwise(chunk: 64), workers: Workers(count: threads))))
    var scored: [ScoredToken] = []
    let summary = try run.run(progress: { _ in }, scored: { scored.append($0) })
    return Outcome(tokens: scored, summary: summary)
  }

  @Test func `figures follow from the scored tokens`() throws {
    let outcome = try score(context: 128)
    let losses = outcome.tokens.map { -$0.logProbability }
    let count = Double(losses.count)
    let mean = losses.reduce(0, +) / count
    let variance = losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
    let summary = outcome.summary
    #expect(summary.tokensScored == losses.count)
    #expect(summary.tokensRun == 700)
    #expect(abs(summary.negativeLogLikelihood.value - mean) < 1e-12)
    #expect(abs(summary.perplexity - exp(mean)) < 1e-9 * exp(mean))
    #expect(
      abs(summary.negativeLogLikelihood.standardError - (variance / count).squareRoot()) < 1e-10)
    #expect(
      abs(summary.perplexityStandardError - exp(mean) * (variance / count).squareRoot()) < 1e-6)
  }

  @Test func `any number of threads gives the same bits`() throws {
    let one = try score(context: 100, threads: 1)
    for threads in [2, 5] {
      #expect(try score(context: 100, threads: threads).tokens == one.tokens)
    }
  }

  @Test func `a window does not depend on those beside it`() throws {
    let together = try score(context: 100).tokens.filter { $0.window == 3 }
    let alone = try score(context: 100, tokens: Array(Self.tokens[300..<400])).tokens
    for (left, right) in zip(together, alone) {
      #expect(left.position == right.position && left.token == right.token)
      #expect(abs(left.logProbability - right.logProbability) < 1e-4)
    }
    #expect(together.count == alone.count)
  }

  @Test func `overlapping windows give later tokens more context`() throws {
    let plain = try score(context: 64).tokens
    let overlapping = try score(context: 64, stride: 16).tokens
    #expect(overlapping.count == 699)
    // The first window is the same in both.
    let first = plain.filter { $0.window == 0 }
    for (left, right) in zip(first, overlapping) {
      #expect(abs(left.logProbability - right.logProbability) < 1e-4)
    }
  }

  @Test func `probabilities of all tokens sum to one`() throws {
    let model = try Model(CheckedCheckpoint(Checkpoint(Fixtures.nano)))
    let options = Model.Options(kernel: .recurrent, workers: Workers(count: 2))
    var states = [SequenceState(model.configuration)]
    let hidden = try model.run(
      [5, 900, 17], sequences: [0..<3], states: &states, options: options)
    let size = model.configuration.vocabularySize
    let scorer = TokenScorer(model, workers: options.workers)
    let last = hidden.gather(
      [Int](repeating: 2, count: size), workers: options.workers)
    let sum = scorer.logProbabilities(of: Array(0..<size), after: last).reduce(0) { $0 + exp($1) }
    #expect(abs(sum - 1) < 1e-6)
  }

  @Test func `an id beyond the vocabulary is refused`() {
    #expect(throws: ModelError.tokenOutOfRange(id: 2048, vocabularySize: 2048)) {
      try score(context: 8, tokens: [1, 2, 2048])
    }
  }
}

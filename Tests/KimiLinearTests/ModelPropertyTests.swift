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

/// What must hold of any model, whatever its weights: tested on small ones of every shape.
@Suite struct ModelPropertyTests {
  private func withRunner(
    _ checkpoint: TinyCheckpoint, _ body: (ModelRunner) throws -> Void
  ) throws {
    try TemporaryFolder.with { folder in
      try body(try ModelRunner(try checkpoint.write(to: folder)))
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `both dialects compute the same bits`(checkpoint: TinyCheckpoint) throws {
    var released: Matrix?
    try withRunner(checkpoint.inDialect(.released)) { runner in
      let logits = try runner.logits(runner.tokens(20, seed: 3))
      #expect(logits.elements.allSatisfy { $0.isFinite })
      // Not all the same: a model that forgets its input would pass everything else.
      #expect(largestDifference(logits, Matrix(rows: 20, columns: logits.columns)) > 0.1)
      released = logits
    }
    try withRunner(checkpoint.inDialect(.transformers)) { runner in
      let logits = try runner.logits(runner.tokens(20, seed: 3))
      #expect(areIdentical(logits, try #require(released)))
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `a sequence in one run is the same in pieces`(checkpoint: TinyCheckpoint) throws {
    try withRunner(checkpoint) { runner in
      let tokens = runner.tokens(70, seed: 4)
      for kernel in [KimiDeltaKernel.recurrent, .chunkwise(chunk: 64), .chunkwise(chunk: 16)] {
        var runner = runner
        runner.options = Model.Options(kernel: kernel, workers: Workers(count: 2))
        let whole = try runner.logits(tokens)
        for pieces in [
          [1, 69], [69, 1], [64, 6], [35, 35], [3, 1, 1, 2, 60, 3],
          [Int](repeating: 1, count: 70), [16, 17, 15, 22],
        ] {
          let difference = largestDifference(whole, try runner.logits(tokens, pieces: pieces))
          #expect(difference < 1e-4, "\(kernel) \(pieces)")
        }
      }
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `kernels agree, and a later token changes nothing before it`(
    checkpoint: TinyCheckpoint
  ) throws {
    try withRunner(checkpoint) { runner in
      let tokens = runner.tokens(80, seed: 5)
      let chunkwise = try runner.logits(tokens)
      var recurrent = runner
      recurrent.options = Model.Options(kernel: .recurrent, workers: Workers(count: 2))
      #expect(largestDifference(chunkwise, try recurrent.logits(tokens)) < 1e-4)
      var other = tokens
      other[79] = (other[79] + 1) % runner.model.configuration.vocabularySize
      let changed = try runner.logits(other)
      // Bit for bit: no product depends on what else is in its batch.
      let before = ModelRunner.rows(0..<79, of: chunkwise)
      #expect(areIdentical(before, ModelRunner.rows(0..<79, of: changed)))
      #expect(changed.row(79) != chunkwise.row(79))
      // The first token reaches the last.
      other = tokens
      other[0] = (other[0] + 1) % runner.model.configuration.vocabularySize
      #expect(try runner.logits(other).row(79) != chunkwise.row(79))
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `sequences in a batch are as each alone`(checkpoint: TinyCheckpoint) throws {
    try withRunner(checkpoint) { runner in
      let batch = [(1, 6), (40, 7), (65, 8), (2, 9)].map { count, seed in
        runner.tokens(count, seed: UInt64(seed))
      }
      let together = try runner.logits(batch: batch)
      var row = 0
      for tokens in batch {
        let alone = try runner.logits(tokens)
        let part = ModelRunner.rows(row..<row + tokens.count, of: together)
        #expect(areIdentical(alone, part))
        row += tokens.count
      }
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `results do not depend on the number of threads`(checkpoint: TinyCheckpoint) throws {
    try withRunner(checkpoint) { runner in
      let batch = [runner.tokens(66, seed: 10), runner.tokens(9, seed: 11)]
      for kernel in [KimiDeltaKernel.recurrent, .chunkwise(chunk: 64)] {
        var runner = runner
        runner.options = Model.Options(kernel: kernel, workers: Workers(count: 1))
        let single = try runner.logits(batch: batch)
        for threads in [2, 5] {
          runner.options = Model.Options(kernel: kernel, workers: Workers(count: threads))
          #expect(areIdentical(single, try runner.logits(batch: batch)), "\(threads) threads")
        }
      }
    }
  }

  @Test func `the trained model has the same properties`() throws {
    var runner = try ModelRunner(nanoPath)
    let tokens = runner.tokens(150, seed: 12)
    let whole = try runner.logits(tokens)
    #expect(largestDifference(whole, try runner.logits(tokens, pieces: [1, 63, 1, 85])) < 1e-4)
    runner.options = Model.Options(kernel: .chunkwise(chunk: 64), workers: Workers(count: 1))
    #expect(areIdentical(whole, try runner.logits(tokens)))
    runner.options = Model.Options(kernel: .chunkwise(chunk: 64), workers: Workers(count: 5))
    #expect(areIdentical(whole, try runner.logits(tokens)))
  }

  @Test func `ids outside the vocabulary are refused`() throws {
    try withRunner(TinyCheckpoint()) { runner in
      for id in [-1, 96, Int.max, Int.min] {
        #expect(throws: ModelError.tokenOutOfRange(id: id, vocabularySize: 96)) {
          try runner.logits([0, id])
        }
      }
      #expect(throws: Never.self) { try runner.logits([0, 95]) }
    }
  }

  @Test func `log-probabilities are those of the logits`() throws {
    try withRunner(TinyCheckpoint { $0.vocabularySize = 4500 }) { runner in
      // More ids than a block of the scorer has.
      let tokens = runner.tokens(30, seed: 13)
      let logits = try runner.logits(tokens)
      let run = PerplexityRun(
        try WindowRun(
          runner.model, tokens: tokens, windows: TokenWindows(tokenCount: 30, context: 30),
          options: runner.options))
      var scored: [ScoredToken] = []
      _ = try run.run(progress: { _ in }, scored: { scored.append($0) })
      #expect(scored.map(\.token) == Array(tokens[1...]))
      #expect(scored.map(\.position) == Array(1..<30))
      for (row, token) in scored.enumerated() {
        let values = logits.row(row).map { Double($0) }
        let largest = values.max() ?? 0
        let sum = values.reduce(0) { $0 + exp($1 - largest) }
        let expected = values[tokens[row + 1]] - largest - log(sum)
        #expect(abs(token.logProbability - expected) < 1e-5)
      }
    }
  }
}

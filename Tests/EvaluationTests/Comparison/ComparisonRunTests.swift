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

/// Whole comparisons of small models.
@Suite struct ComparisonRunTests {
  /// More ids than a block has.
  private static let vocabularySize = 4500

  private static func checkpoint(seed: UInt64) -> TinyCheckpoint {
    TinyCheckpoint {
      $0.vocabularySize = vocabularySize
      $0.seed = seed
    }
  }

  private static let tokens: [Int] = {
    var generator = SeededGenerator(seed: 21)
    return (0..<150).map { _ in Int.random(in: 0..<vocabularySize, using: &generator) }
  }()

  /// Two models of the same shape with other weights.
  private func withModels(_ body: (_ model: FilePath, _ base: FilePath) throws -> Void) throws {
    try TemporaryFolder.with { folder in
      try body(
        try Self.checkpoint(seed: 1).write(to: folder, as: "model"),
        try Self.checkpoint(seed: 2).write(to: folder, as: "base"))
    }
  }

  private func windowRun(
    _ path: FilePath, context: Int = 40, threads: Int = 2
  ) throws -> WindowRun {
    try WindowRun(
      try Model(CheckedCheckpoint(Checkpoint(path))), tokens: Self.tokens,
      windows: TokenWindows(tokenCount: Self.tokens.count, context: context),
      options: Model.Options(kernel: .recurrent, workers: Workers(count: threads)))
  }

  private func compare(_ model: WindowRun, _ base: BaseSource) throws -> [ComparedToken] {
    var tokens: [ComparedToken] = []
    _ = try ComparisonRun(model, base: base).run(
      progress: { _ in }, compared: { tokens.append($0) })
    return tokens
  }

  @Test func `figures are those of the logits`() throws {
    try withModels { model, base in
      let (run, baseRun) = (try windowRun(model), try windowRun(base))
      let found = try compare(run, .model(baseRun))
      #expect(found.count == run.windows.scoredCount)
      var index = 0
      for batch in run.batches {
        let logits = try [run, baseRun].map { run in
          run.model.logits(
            try run.hiddenStates(of: batch), vocabulary: 0..<Self.vocabularySize,
            workers: Workers(count: 1))
        }
        for (row, place) in run.windows.places(in: batch).enumerated() {
          let (q, p) = (logits[0].row(row).map(Double.init), logits[1].row(row).map(Double.init))
          let (logQ, logP) = (logSumExp(q), logSumExp(p))
          let divergence = zip(p, q).reduce(0) {
            $0 + exp($1.0 - logP) * ($1.0 - logP - $1.1 + logQ)
          }
          let token = found[index]
          let id = Self.tokens[place.index]
          #expect(token.scored.token == id && token.scored.position == place.position)
          #expect(abs(token.divergence - divergence) < 1e-9 * divergence)
          #expect(abs(token.scored.logProbability - (q[id] - logQ)) < 1e-11)
          #expect(abs(token.baseLogProbability - (p[id] - logP)) < 1e-11)
          #expect(
            token.hasSameTop == (p.firstIndex(of: p.max() ?? 0) == q.firstIndex(of: q.max() ?? 0)))
          index += 1
        }
      }
    }
  }

  private func logSumExp(_ numbers: [Double]) -> Double {
    let largest = numbers.max() ?? 0
    return largest + log(numbers.reduce(0) { $0 + exp($1 - largest) })
  }

  @Test func `the perplexity is that of the model alone`() throws {
    try withModels { model, base in
      let run = try windowRun(model)
      var alone: [ScoredToken] = []
      _ = try PerplexityRun(run).run(progress: { _ in }, scored: { alone.append($0) })
      let compared = try compare(run, .model(try windowRun(base))).map(\.scored)
      #expect(compared.count == alone.count)
      for (left, right) in zip(compared, alone) {
        #expect(
          (left.window, left.position, left.token) == (right.window, right.position, right.token))
        #expect(abs(left.logProbability - right.logProbability) < 1e-6)
      }
    }
  }

  @Test func `any number of threads gives the same bits`() throws {
    try withModels { model, base in
      let one = try compare(
        windowRun(model, threads: 1), .model(windowRun(base, threads: 1)))
      for threads in [2, 5] {
        #expect(
          try compare(windowRun(model, threads: threads), .model(windowRun(base, threads: threads)))
            == one)
      }
    }
  }

  @Test func `a model does not differ from itself`() throws {
    try withModels { model, _ in
      let run = try windowRun(model)
      for token in try compare(run, .model(run)) {
        #expect(token.divergence == 0 && token.hasSameTop)
        #expect(token.baseLogProbability == token.scored.logProbability)
      }
    }
  }

  @Test func `progress counts the tokens of both models`() throws {
    try withModels { model, base in
      var last: Progress?
      _ = try ComparisonRun(windowRun(model), base: .model(windowRun(base))).run(
        progress: { last = $0 }, compared: { _ in })
      #expect(last?.completed == 300 && last?.total == 300)
    }
  }

  @Test func `vocabularies of different sizes are refused`() throws {
    try withModels { model, _ in
      try TemporaryFolder.with { folder in
        let other = try TinyCheckpoint().write(to: folder)
        let base = try WindowRun(
          try Model(CheckedCheckpoint(Checkpoint(other))), tokens: [1, 2],
          windows: TokenWindows(tokenCount: 2, context: 2),
          options: Model.Options(kernel: .recurrent, workers: Workers(count: 1)))
        #expect(
          throws: BaseError.vocabulary(
            base: other.string, size: 96, model: model.string, expected: 4500)
        ) { try ComparisonRun(windowRun(model), base: .model(base)) }
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Evaluation
import Kernels
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// How windows are run together, and what comes out of each.
@Suite struct WindowRunTests {
  private let workers = Workers(count: 2)

  private func withModel(_ body: (Model) throws -> Void) throws {
    try TemporaryFolder.with { folder in
      try body(try Model(CheckedCheckpoint(Checkpoint(TinyCheckpoint().write(to: folder)))))
    }
  }

  private func run(_ model: Model, tokens count: Int, context: Int, stride: Int? = nil) throws
    -> WindowRun
  {
    try WindowRun(
      model, tokens: (0..<count).map { $0 * 29 % 96 },
      windows: TokenWindows(tokenCount: count, context: context, stride: stride),
      options: Model.Options(kernel: .recurrent, workers: workers))
  }

  /// Up to 2,048 tokens go through the layers together.
  @Test(
    arguments: [
      (9 * 512, 512, [0..<4, 4..<8, 8..<9]), (4 * 512, 512, [0..<4]),
      (4 * 512 + 2, 512, [0..<4, 4..<5]),
      (3 * 700, 700, [0..<2, 2..<3]), (6000, 3000, [0..<1, 1..<2]), (1, 512, []),
    ] as [(Int, Int, [Range<Int>])])
  func `batches hold as many windows as fit, and at least one`(
    count: Int, context: Int, batches: [Range<Int>]
  ) throws {
    try withModel { model in
      let found = try run(model, tokens: count, context: context).batches
      #expect(found == batches)
    }
  }

  @Test func `row i of a batch is what comes before its i-th scored token`() throws {
    try withModel { model in
      let run = try run(model, tokens: 45, context: 20, stride: 15)
      #expect(run.windows.places(in: 1..<2).map(\.position) == Array(5..<20))
      #expect(run.windows.places(in: 1..<2).map(\.index) == Array(20..<35))
      #expect(run.windows.places(in: 1..<2).allSatisfy { $0.window == 1 })
      #expect(run.windows.tokenCount(in: 0..<2) == 40)
      let hidden = try run.hiddenStates(of: 1..<2)
      // The second window alone, from an empty state.
      var states = [SequenceState(model.configuration)]
      let window = try model.run(
        Array(run.tokens[15..<35]), sequences: [0..<20], states: &states, options: run.options)
      #expect(hidden.rows == 15)
      for row in 0..<15 {
        #expect(relativeError(hidden.row(row), window.row(row + 4)) < 1e-6, "row \(row)")
      }
    }
  }

  @Test func `token by token the same tokens are scored, with the same result`() throws {
    try withModel { model in
      let run = try run(model, tokens: 50, context: 20, stride: 15)
      var (batched, decoded): ([ScoredToken], [ScoredToken]) = ([], [])
      let expected = try PerplexityRun(run).run(
        progress: { _ in }, scored: { batched.append($0) })
      var last: Progress?
      let summary = try DecodedRun(run).run(
        progress: { last = $0 }, scored: { decoded.append($0) })
      #expect(decoded.map(\.window) == batched.map(\.window))
      #expect(decoded.map(\.position) == batched.map(\.position))
      #expect(decoded.map(\.token) == batched.map(\.token))
      for (left, right) in zip(decoded, batched) {
        #expect(abs(left.logProbability - right.logProbability) < 1e-4)
      }
      #expect(summary.tokensScored == 49 && summary.tokensRun == expected.tokensRun)
      #expect(last?.completed == summary.tokensRun && last?.total == summary.tokensRun)
    }
  }

  @Test func `a log has a row for each token, with the digits that are promised`() throws {
    try TemporaryFolder.with { folder in
      let token = ScoredToken(window: 3, position: 17, token: 95, logProbability: -1.25)
      let path = folder.path.appending("log.csv")
      let log = try TokenLog(path, replacing: false)
      for _ in 0..<3000 { try log.append(token) }
      #expect(throws: FileError.exists(path)) {
        try folder.write("theirs", as: "log.csv")
        try log.commit()
      }
      let second = folder.path.appending("second.csv")
      let both = try TokenLog(second, replacing: false, isComparison: true)
      for isSame in [true, false] {
        try both.append(
          ComparedToken(
            scored: token, baseLogProbability: -0.5, divergence: 0x1p-20, hasSameTop: isSame))
      }
      try both.commit()
      let compared = String(decoding: try folder.read("second.csv"), as: UTF8.self)
      #expect(
        compared == """
          window,position,token,logprob,base_logprob,kl,same_top
          3,17,95,-1.250000000,-0.500000000,0.000000953674,1
          3,17,95,-1.250000000,-0.500000000,0.000000953674,0

          """)
      let long = folder.path.appending("long.csv")
      // More rows than are kept in memory.
      let rows = try TokenLog(long, replacing: false)
      for _ in 0..<5000 { try rows.append(token) }
      try rows.commit()
      let all = String(decoding: try folder.read("long.csv"), as: UTF8.self)
      #expect(
        all == "window,position,token,logprob\n"
          + String(repeating: "3,17,95,-1.250000000\n", count: 5000))
    }
  }
}

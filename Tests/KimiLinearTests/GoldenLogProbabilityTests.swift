// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Evaluation
import JSON
import Kernels
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Log-probabilities of trained models against those of transformers in float32.
@Suite struct GoldenLogProbabilityTests {
  /// One window of the golden file.
  struct Window {
    let ids: [Int]
    let logProbabilities: [Double]
  }

  /// All windows of all runs.
  private func windows(_ name: String) throws -> [Window] {
    let root = JSONField(
      file: name, root: try JSONValue(parsing: try SharedData.bytes(name), file: name))
    return try root["runs"].array().flatMap { run in
      try run["windows"].array().map { window in
        Window(
          ids: try window["ids"].array().map { try $0.integer(in: 0...1 << 20) },
          logProbabilities: try window["logprobs"].array().map { try $0.number() })
      }
    }
  }

  private func check(
    _ path: FilePath, golden: String, kernel: KimiDeltaKernel
  ) throws {
    let model = try Model(try CheckedCheckpoint(try Checkpoint(path)))
    let options = Model.Options(kernel: kernel, workers: Workers(count: 2))
    let windows = try windows(golden)
    #expect(windows.count > 1)
    var differences: [Double] = []
    var means: [(Double, Double)] = []
    for window in windows {
      #expect(window.logProbabilities.count == window.ids.count - 1)
      let run = PerplexityRun(
        model, tokens: window.ids,
        windows: TokenWindows(tokenCount: window.ids.count, context: window.ids.count),
        options: options)
      var scores: [Double] = []
      let summary = try run.run(progress: { _ in }, scored: { scores.append($0.logProbability) })
      differences += zip(scores, window.logProbabilities).map { abs($0 - $1) }
      let mean = -window.logProbabilities.reduce(0, +) / Double(scores.count)
      means.append((summary.meanNegativeLogLikelihood, mean))
      #expect(summary.tokensScored == window.logProbabilities.count)
    }
    let largest = try #require(differences.max())
    #expect(largest < 2e-4, "largest difference of one token")
    let meanDifference = try #require(means.map { abs($0 - $1) }.max())
    #expect(meanDifference < 1e-5, "largest difference of a mean")
  }

  @Test(
    .enabled(if: SharedData.has("golden/nano_logprobs.json"), "needs ../shared or KILN_SHARED"),
    arguments: [KimiDeltaKernel.chunkwise(chunk: 64), .recurrent])
  func `nano scores tokens as transformers does`(kernel: KimiDeltaKernel) throws {
    try check(nanoPath, golden: "golden/nano_logprobs.json", kernel: kernel)
  }

  @Test(
    .enabled(if: SharedData.has("golden/mini_logprobs.json"), "needs ../shared or KILN_SHARED"),
    arguments: [KimiDeltaKernel.chunkwise(chunk: 64), .recurrent])
  func `mini scores tokens as transformers does`(kernel: KimiDeltaKernel) throws {
    let folder = try #require(SharedData.folder)
    try check(
      folder.appending("checkpoints/mini"), golden: "golden/mini_logprobs.json", kernel: kernel)
  }
}

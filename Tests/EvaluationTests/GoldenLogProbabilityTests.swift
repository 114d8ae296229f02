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

/// Log-probabilities of the trained checkpoints against transformers in float32.
@Suite(.enabled(if: SharedData.has("golden"), "needs the shared golden values"))
struct GoldenLogProbabilityTests {
  @Test(arguments: ["nano", "mini"], [KimiDeltaKernel.chunkwise(chunk: 64), .recurrent])
  func `each token agrees to 2e-4 and the mean to 1e-5`(
    name: String, kernel: KimiDeltaKernel
  ) throws {
    let shared = try #require(SharedData.folder)
    let model = try Model(
      CheckedCheckpoint(Checkpoint(shared.appending("checkpoints/\(name)"))))
    let golden = JSONField(
      file: name,
      root: try JSONValue(
        parsing: try SharedData.bytes("golden/\(name)_logprobs.json"), file: name))
    for run in try golden["runs"].array() {
      let context = try run["context"].integer(in: 2...4096)
      var tokens: [Int] = []
      var expected: [Double] = []
      for window in try run["windows"].array() {
        tokens += try window["ids"].array().map { try $0.integer(in: 0...1 << 20) }
        expected += try window["logprobs"].array().map { try $0.number() }
      }
      let found = try logProbabilities(model, tokens, context: context, kernel: kernel)
      #expect(found.count == expected.count)
      let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
      let mean = (found.reduce(0, +) - expected.reduce(0, +)) / Double(expected.count)
      #expect(worst < 2e-4, "context \(context)")
      #expect(abs(mean) < 1e-5, "context \(context)")
    }
  }

  @Test func `decoding token by token agrees as well`() throws {
    let shared = try #require(SharedData.folder)
    let model = try Model(CheckedCheckpoint(Checkpoint(shared.appending("checkpoints/nano"))))
    let golden = JSONField(
      file: "nano",
      root: try JSONValue(
        parsing: try SharedData.bytes("golden/nano_logprobs.json"), file: "nano"))
    for run in try golden["runs"].array() {
      for window in try run["windows"].array() {
        let tokens = try window["ids"].array().map { try $0.integer(in: 0...1 << 20) }
        let expected = try window["logprobs"].array().map { try $0.number() }
        let decoder = try Decoder(
          model, options: Decoder.Options(workers: Workers(count: 2), contextLimit: tokens.count))
        var worst = 0.0
        for (index, token) in tokens.dropLast().enumerated() {
          try decoder.step(token)
          let found = decoder.withLogits {
            Double($0[tokens[index + 1]]) - logSumExp($0)
          }
          worst = max(worst, abs(found - expected[index]))
        }
        #expect(expected.count == tokens.count - 1)
        #expect(worst < 2e-4)
      }
    }
  }

  private func logProbabilities(
    _ model: Model, _ tokens: [Int], context: Int, kernel: KimiDeltaKernel
  ) throws -> [Double] {
    var found: [Double] = []
    let run = PerplexityRun(
      try WindowRun(
        model, tokens: tokens,
        windows: TokenWindows(tokenCount: tokens.count, context: context),
        options: Model.Options(kernel: kernel, workers: Workers(count: 2))))
    _ = try run.run(progress: { _ in }, scored: { found.append($0.logProbability) })
    return found
  }
}

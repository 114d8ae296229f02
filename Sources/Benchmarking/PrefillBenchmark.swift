// SPDX-License-Identifier: Apache-2.0

import Evaluation
package import KimiLinear
import TensorCore

/// How fast a model reads a text: all layers and the logits of every token, as for a perplexity.
package struct PrefillBenchmark: Sendable {
  /// What was measured for sequences of one length.
  package struct Result: Sendable {
    /// Tokens of each sequence.
    package let tokens: Int
    /// Sequences that went through the layers together.
    package let sequences: Int
    /// Times of all of them.
    package let time: Measurement
    /// Floating-point operations that the model needs for them, part by part.
    package let operations: [ModelPart: Double]
    /// Seconds of each part, in the run nearest to the median.
    package let secondsOfParts: [ModelPart: Double]
    /// Seconds of each part of linear attention in the same run, which `.kda` is the sum of.
    package let secondsOfLinearAttention: [LinearAttentionPart: Double]
    /// The largest resident size meanwhile, mapped files included.
    package let peakMemoryByteCount: Int

    /// Tokens a second.
    package var tokensPerSecond: Double { Double(tokens * sequences) / time.median }
    /// Operations a second.
    package var operationsPerSecond: Double {
      operations.values.reduce(0, +) / time.median
    }
  }

  /// Tokens that sequences of a batch have together: as many as a perplexity runs at a time.
  package static let tokensPerBatch = 2048

  private let model: Model
  private let options: Model.Options
  private let repeats: Int
  private let text: [Int]

  /// - Parameters:
  ///   - model: The model.
  ///   - options: How it is run; its clock is not used.
  ///   - repeats: Runs of each length.
  ///   - text: Tokens to read, again from the start where they do not suffice; none for seeded random ones.
  package init(_ model: Model, options: Model.Options, repeats: Int, text: [Int]) {
    self.model = model
    self.options = options
    self.repeats = repeats
    self.text = text
  }

  /// Measures sequences of one length.
  ///
  /// - Parameters:
  ///   - tokens: Length of each.
  ///   - sequences: How many run together.
  /// - Returns: The result.
  /// - Throws: `ModelError.tooLarge` if they do not fit in memory, `.tokenOutOfRange`.
  package func run(tokens: Int, sequences: Int) throws -> Result {
    try checkMemory(tokens: tokens, sequences: sequences)
    let ids = ids(count: tokens * sequences + 1)
    let ranges = (0..<sequences).map { $0 * tokens..<($0 + 1) * tokens }
    var clocks: [PartClock] = []
    PeakMemory.reset()
    let time = try Measurement(repeats: repeats) {
      let clock = PartClock()
      var states = ranges.map { _ in SequenceState(model.configuration) }
      let hidden = try model.run(
        Array(ids.dropLast()), sequences: ranges, states: &states,
        options: Model.Options(
          kernel: options.kernel, workers: options.workers, clock: clock))
      _ = TokenScorer(model, workers: options.workers).logProbabilities(
        of: Array(ids.dropFirst()), after: hidden)
      clock.ended(.head)
      clocks.append(clock)
    }
    // The first one belongs to the run that warms up.
    let clock = clocks[1 + time.typicalRun]
    return Result(
      tokens: tokens, sequences: sequences, time: time,
      operations: ModelCost(model).prefillOperations(tokens: tokens, sequences: sequences),
      secondsOfParts: clock.seconds, secondsOfLinearAttention: clock.linearAttentionSeconds,
      peakMemoryByteCount: PeakMemory.byteCount)
  }

  private func ids(count: Int) -> [Int] {
    guard !text.isEmpty else {
      var noise = SeededNoise(seed: 3)
      return (0..<count).map { _ in
        Int.random(in: 0..<model.configuration.vocabularySize, using: &noise)
      }
    }
    return (0..<count).map { text[$0 % text.count] }
  }

  private func checkMemory(tokens: Int, sequences: Int) throws(ModelError) {
    let configuration = model.configuration
    let numbers =
      tokens.multipliedReportingOverflow(
        by: configuration.activationNumbersPerToken
          + (configuration.latentAttention?.cacheWidth ?? 0) * configuration.latentLayerCount)
    let needed = numbers.partialValue.multipliedReportingOverflow(by: 4 * sequences)
    let available = PhysicalMemory.byteCount
    guard !numbers.overflow, !needed.overflow, needed.partialValue <= available else {
      throw .tooLarge(
        model: model.name, needed: needed.overflow ? Int.max : needed.partialValue,
        available: available)
    }
  }
}

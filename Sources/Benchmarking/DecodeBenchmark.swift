// SPDX-License-Identifier: Apache-2.0

import Evaluation
package import KimiLinear
package import TensorCore

/// How fast a model generates, token by token, behind contexts of given lengths.
package struct DecodeBenchmark: Sendable {
  /// What was measured behind one context.
  package struct Result: Sendable {
    /// Tokens before those that were measured.
    package let context: Int
    /// Tokens of each run.
    package let tokensPerRun: Int
    /// Times of one token, the mean of each run.
    package let time: Measurement
    /// Seconds of the fastest token of all runs: what is left where others use the machine, too.
    package let fastest: Double
    /// Seconds of each part of the model in a token, from a run of its own.
    package let secondsOfParts: [ModelPart: Double]
    /// Bytes of weights that a token needs.
    package let weightByteCount: Int
    /// Bytes of the sequence that a token needs: latents and KDA states.
    package let stateByteCount: Int
    /// Bytes a second that this machine reads of a working set of so many bytes.
    package let readBytesPerSecond: Double
    /// Floating-point operations of a token.
    package let operations: Double
    /// The largest resident size meanwhile, mapped files included.
    package let peakMemoryByteCount: Int

    /// Tokens a second.
    package var tokensPerSecond: Double { 1 / time.median }
    /// Seconds that it takes to read what a token needs.
    package var bound: Double {
      readBytesPerSecond > 0
        ? Double(weightByteCount + stateByteCount) / readBytesPerSecond : 0
    }
    /// The bound as a share of the time.
    package var shareOfBound: Double { bound / time.median }
  }

  /// Seconds that a run should take at least.
  private static let shortestRun = 0.25
  /// Tokens of a run.
  private static let tokensPerRun = 4...512
  /// Tokens after which the context is brought back to its length: what is measured behind a context is not
  /// to be measured behind a longer one.
  private static let tokensBehindContext = 32
  /// Working sets beyond this are in memory, whatever their size.
  private static let largestCachedByteCount = 1 << 29

  private let model: Model
  private let workers: Workers
  private let repeats: Int
  private let memoryBytesPerSecond: Double

  /// - Parameters:
  ///   - model: The model.
  ///   - workers: Threads.
  ///   - repeats: Runs of each context.
  ///   - machine: What the machine can do.
  package init(_ model: Model, workers: Workers, repeats: Int, machine: MachineCeilings) {
    self.model = model
    self.workers = workers
    self.repeats = repeats
    memoryBytesPerSecond = machine.memoryBytesPerSecond
  }

  /// Measures tokens behind a context that was made up.
  ///
  /// Tokens are random, so that they go to other experts each time.
  ///
  /// - Parameter context: Its length.
  /// - Returns: The result.
  /// - Throws: `ModelError.tooLarge` if the context does not fit in memory.
  package func run(context: Int) throws -> Result {
    PeakMemory.reset()
    let decoder = try Decoder(
      model,
      options: Decoder.Options(
        workers: workers, contextLimit: context + Self.tokensBehindContext))
    try decoder.fillSynthetically(tokens: context, seed: 6)
    var noise = SeededNoise(seed: 7)
    let clock = ContinuousClock()
    var fastest = Duration.seconds(Int.max)
    func decode(_ count: Int) throws {
      for index in 0..<count {
        if index.isMultiple(of: Self.tokensBehindContext) { decoder.rewind(to: context) }
        let token = Int.random(in: 0..<model.configuration.vocabularySize, using: &noise)
        let start = clock.now
        try decoder.step(token)
        fastest = min(fastest, clock.now - start)
      }
    }
    let first = try Measurement(repeats: 1, warmUps: 0) {
      try decode(Self.tokensPerRun.lowerBound)
    }
    let each = first.median / Double(Self.tokensPerRun.lowerBound)
    let wanted = Int(min((Self.shortestRun / max(each, 1e-9)).rounded(.up), 1e6))
    let count = min(max(wanted, Self.tokensPerRun.lowerBound), Self.tokensPerRun.upperBound)
    let time = try Measurement(repeats: repeats) { try decode(count) }
    let fastestToken = fastest.inSeconds
    let parts = try decoder.secondsOfParts { try decode(count) }
    let cost = ModelCost(model)
    let (weights, state) = (
      cost.activeWeightByteCount, cost.stateByteCount(context: context)
    )
    return Result(
      context: context, tokensPerRun: count,
      time: Measurement(seconds: time.seconds.map { $0 / Double(count) }),
      fastest: fastestToken, secondsOfParts: parts.mapValues { $0 / Double(count) },
      weightByteCount: weights, stateByteCount: state,
      readBytesPerSecond: readRate(weights + state),
      operations: cost.decodeOperations(context: context),
      peakMemoryByteCount: PeakMemory.byteCount)
  }

  private func readRate(_ byteCount: Int) -> Double {
    guard byteCount < Self.largestCachedByteCount else { return memoryBytesPerSecond }
    return MachineCeilings.readRate(
      workingSet: byteCount, workers: workers, repeats: repeats
    ).bytesPerSecond
  }
}

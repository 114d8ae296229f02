// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
package import KimiLinear
package import TensorCore

/// Scores a text with a model, window by window.
package struct PerplexityRun: Sendable {
  /// One scored token.
  package struct ScoredToken: Sendable, Equatable {
    /// Index of the window.
    package let window: Int
    /// Position in the window.
    package let position: Int
    /// Id.
    package let token: Int
    /// ln p given the tokens before it in the window.
    package let logProbability: Double
  }

  /// Most tokens that go through the layers together: enough that a weight is widened for many.
  private static let tokensPerBatch = 2048
  /// Most bytes of activations and states of a batch, unless one window takes more.
  private static let bytesPerBatch = 1 << 30

  private let model: Model
  private let options: Model.Options
  private let tokens: [Int]
  private let windows: TokenWindows

  /// - Parameters:
  ///   - model: The model.
  ///   - tokens: The text.
  ///   - windows: How it is cut.
  ///   - options: How to run the model.
  package init(_ model: Model, tokens: [Int], windows: TokenWindows, options: Model.Options) {
    self.model = model
    self.tokens = tokens
    self.windows = windows
    self.options = options
  }

  /// Scores all windows, in order.
  ///
  /// - Parameters:
  ///   - progress: Told after each batch.
  ///   - scored: Called with each scored token, in the order of the text.
  /// - Returns: The figures of all scored tokens.
  /// - Throws: `ModelError.tokenOutOfRange`, or what `scored` throws.
  package func run(
    progress: Progress.Handler, scored: (ScoredToken) throws -> Void
  ) throws -> PerplexitySummary {
    try checkMemory()
    var summary = PerplexitySummary()
    let clock = ContinuousClock()
    let start = clock.now
    let total = windows.windows.reduce(0) { $0 + $1.range.count }
    for batch in batches() {
      for token in try score(batch) {
        summary.add(token.logProbability)
        try scored(token)
      }
      summary.tokensRun += batch.reduce(0) { $0 + windows.windows[$1].range.count }
      summary.seconds = (clock.now - start).inSeconds
      progress(
        Progress(
          activity: "perplexity", detail: "window \(batch.upperBound)/\(windows.windows.count)",
          completed: summary.tokensRun, total: total, unit: .tokens))
    }
    return summary
  }

  /// Runs of windows that are computed together; they depend on the windows alone.
  private func batches() -> [Range<Int>] {
    var batches: [Range<Int>] = []
    var start = 0
    var (tokens, bytes) = (0, 0)
    for (index, window) in windows.windows.enumerated() {
      tokens += window.range.count
      bytes += byteCount(of: window)
      if index > start, tokens > Self.tokensPerBatch || bytes > Self.bytesPerBatch {
        batches.append(start..<index)
        start = index
        (tokens, bytes) = (window.range.count, byteCount(of: window))
      }
    }
    if start < windows.windows.count { batches.append(start..<windows.windows.count) }
    return batches
  }

  /// Memory that a window takes while it is run.
  private func byteCount(of window: TokenWindows.Window) -> Int {
    let tokens = window.range.count
    let configuration = model.configuration
    return 4
      * (tokens * configuration.activationNumbersPerToken
        + configuration.stateNumbers(tokens: tokens))
  }

  /// Refuses windows that this machine cannot hold, before memory is taken.
  private func checkMemory() throws(ModelError) {
    let needed = windows.windows.map(byteCount).max() ?? 0
    let available = PhysicalMemory.byteCount
    guard needed <= available else {
      throw .tooLarge(model: model.name, needed: needed, available: available)
    }
  }

  private func score(_ batch: Range<Int>) throws -> [ScoredToken] {
    var batchTokens: [Int] = []
    var sequences: [Range<Int>] = []
    for window in windows.windows[batch] {
      let first = batchTokens.count
      batchTokens.append(contentsOf: tokens[window.range])
      sequences.append(first..<batchTokens.count)
    }
    var states = sequences.map { _ in SequenceState(model.configuration) }
    let hidden = try model.run(
      batchTokens, sequences: sequences, states: &states, options: options)

    // The hidden state of a token scores the next one, so the last of a window scores nothing.
    var rows: [Int] = []
    var places: [(window: Int, position: Int, token: Int)] = []
    for (index, rowsOfWindow) in zip(batch, sequences) {
      let window = windows.windows[index]
      for position in window.firstScored..<window.range.count {
        rows.append(rowsOfWindow.lowerBound + position - 1)
        places.append((index, position, batchTokens[rowsOfWindow.lowerBound + position]))
      }
    }
    let scores = TokenScorer(model, workers: options.workers).logProbabilities(
      of: places.map(\.token), after: hidden.gather(rows))
    return zip(places, scores).map { place, score in
      ScoredToken(
        window: place.window, position: place.position, token: place.token, logProbability: score)
    }
  }
}

/// The figures of a perplexity run.
package struct PerplexitySummary: Sendable {
  /// Tokens that were scored.
  package private(set) var tokensScored = 0
  /// Tokens that went through the model.
  package internal(set) var tokensRun = 0
  /// Time that this took.
  package internal(set) var seconds = 0.0
  private var sum = 0.0
  private var sumOfSquares = 0.0

  mutating func add(_ logProbability: Double) {
    tokensScored += 1
    sum -= logProbability
    sumOfSquares += logProbability * logProbability
  }

  /// Mean of -ln p, in nats.
  package var meanNegativeLogLikelihood: Double { sum / Double(tokensScored) }

  /// exp of the mean of -ln p.
  package var perplexity: Double { exp(meanNegativeLogLikelihood) }

  /// Standard error of `meanNegativeLogLikelihood`, tokens taken as independent.
  package var meanStandardError: Double {
    guard tokensScored > 1 else { return .nan }
    let count = Double(tokensScored)
    let mean = meanNegativeLogLikelihood
    let variance = max(sumOfSquares / count - mean * mean, 0) * count / (count - 1)
    return (variance / count).squareRoot()
  }

  /// Standard error of `perplexity`, to first order: perplexity times that of the mean.
  package var perplexityStandardError: Double { perplexity * meanStandardError }

  /// Tokens through the model for each second.
  package var tokensPerSecond: Double { seconds > 0 ? Double(tokensRun) / seconds : 0 }
}

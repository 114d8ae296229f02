// SPDX-License-Identifier: Apache-2.0

package import Kernels
import KimiLinear
package import TensorCore

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

  package init(window: Int, position: Int, token: Int, logProbability: Double) {
    self.window = window
    self.position = position
    self.token = token
    self.logProbability = logProbability
  }
}

/// Scores a text with a model, window by window.
package struct PerplexityRun: Sendable {
  private let run: WindowRun

  /// - Parameter run: The model and the text.
  package init(_ run: WindowRun) {
    self.run = run
  }

  /// Scores all windows, in order.
  ///
  /// - Parameters:
  ///   - progress: Told after each batch.
  ///   - computed: Called with the hidden states that score the tokens of each batch, `[n, d]`.
  ///   - scored: Called with each scored token, in the order of the text.
  /// - Returns: The figures of all scored tokens.
  /// - Throws: `ModelError.tokenOutOfRange`, or what `computed` and `scored` throw.
  package func run(
    progress: Progress.Handler, computed: (Matrix) throws -> Void = { _ in },
    scored: (ScoredToken) throws -> Void
  ) throws -> PerplexitySummary {
    var summary = PerplexitySummary()
    let clock = ContinuousClock()
    let start = clock.now
    let windows = run.windows
    let total = windows.tokenCount(in: windows.windows.indices)
    let scorer = TokenScorer(run.model, workers: run.options.workers)
    for batch in run.batches {
      let hidden = try run.hiddenStates(of: batch)
      try computed(hidden)
      let places = windows.places(in: batch)
      let targets = places.map { run.tokens[$0.index] }
      let scores = scorer.logProbabilities(of: targets, after: hidden)
      for (index, place) in places.enumerated() {
        summary.add(scores[index])
        try scored(
          ScoredToken(
            window: place.window, position: place.position, token: targets[index],
            logProbability: scores[index]))
      }
      summary.tokensRun += windows.tokenCount(in: batch)
      summary.seconds = (clock.now - start).inSeconds
      progress(
        Progress(
          activity: "perplexity", detail: "window \(batch.upperBound)/\(windows.windows.count)",
          completed: summary.tokensRun, total: total, unit: .tokens))
    }
    return summary
  }
}

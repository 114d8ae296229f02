// SPDX-License-Identifier: Apache-2.0

import Kernels
import KimiLinear
package import TensorCore

/// Scores a text token by token, the way text is generated: what `PerplexityRun` finds, from other kernels.
///
/// It is slower by far. The two are held against each other, and each against another implementation.
package struct DecodedRun: Sendable {
  private let run: WindowRun

  /// - Parameter run: The model and the text.
  package init(_ run: WindowRun) {
    self.run = run
  }

  /// Scores all windows, in order.
  ///
  /// - Parameters:
  ///   - progress: Told after each window.
  ///   - scored: Called with each scored token, in the order of the text.
  /// - Returns: The figures of all scored tokens.
  /// - Throws: `ModelError.tokenOutOfRange`, `.tooLarge`, or what `scored` throws.
  package func run(
    progress: Progress.Handler, scored: (ScoredToken) throws -> Void
  ) throws -> PerplexitySummary {
    var summary = PerplexitySummary()
    let clock = ContinuousClock()
    let start = clock.now
    let windows = run.windows
    let vocabularySize = run.model.configuration.vocabularySize
    for (number, window) in windows.windows.enumerated() {
      let decoder = try Decoder(
        run.model,
        options: Decoder.Options(
          workers: run.options.workers, contextLimit: window.range.count))
      for (position, token) in run.tokens[window.range].enumerated() {
        guard (0..<vocabularySize).contains(token) else {
          throw ModelError.tokenOutOfRange(id: token, vocabularySize: vocabularySize)
        }
        if position >= window.firstScored {
          let score = decoder.withLogits { Double($0[token]) - logSumExp($0) }
          summary.add(score)
          try scored(
            ScoredToken(window: number, position: position, token: token, logProbability: score))
        }
        try decoder.step(token)
      }
      summary.tokensRun += window.range.count
      summary.seconds = (clock.now - start).inSeconds
      progress(
        Progress(
          activity: "perplexity", detail: "window \(number + 1)/\(windows.windows.count)",
          completed: summary.tokensRun, total: windows.tokenCount(in: windows.windows.indices),
          unit: .tokens))
    }
    return summary
  }
}

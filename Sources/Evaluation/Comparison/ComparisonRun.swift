// SPDX-License-Identifier: Apache-2.0

package import Kernels
import KimiLinear
package import TensorCore

/// One token, scored by two models.
package struct ComparedToken: Sendable, Equatable {
  /// Where it is, and what the model says about it.
  package let scored: ScoredToken
  /// ln p of the base.
  package let baseLogProbability: Double
  /// KL(base || model) of the distributions that it was drawn from, in nats.
  package let divergence: Double
  /// Whether both would have chosen the same token.
  package let hasSameTop: Bool

  package init(
    scored: ScoredToken, baseLogProbability: Double, divergence: Double, hasSameTop: Bool
  ) {
    self.scored = scored
    self.baseLogProbability = baseLogProbability
    self.divergence = divergence
    self.hasSameTop = hasSameTop
  }
}

/// Compares a model with a base on a text, position by position.
package struct ComparisonRun: Sendable {
  private let model: WindowRun
  private let base: BaseSource

  /// - Parameters:
  ///   - model: The model and the text.
  ///   - base: What it is compared with, on the same text.
  /// - Throws: `BaseError.vocabulary` if they have different ones.
  package init(_ model: WindowRun, base: BaseSource) throws(BaseError) {
    let (size, baseSize) = (model.model.configuration.vocabularySize, base.head.vocabularySize)
    guard size == baseSize else {
      throw .vocabulary(base: base.name, size: baseSize, model: model.model.name, expected: size)
    }
    self.model = model
    self.base = base
  }

  /// Compares all scored positions, in order.
  ///
  /// The two models take turns, batch after batch. Each is run exactly as it would be alone.
  ///
  /// - Parameters:
  ///   - progress: Told after each batch of either.
  ///   - computed: Called with the hidden states of the base, `[n, d]`, in the order of the positions.
  ///   - compared: Called with each scored token, in the order of the text.
  /// - Returns: The figures of all scored tokens.
  /// - Throws: `ModelError.tokenOutOfRange`, or what `computed` and `compared` throw.
  package func run(
    progress: Progress.Handler, computed: (Matrix) throws -> Void = { _ in },
    compared: (ComparedToken) throws -> Void
  ) throws -> ComparisonSummary {
    var summary = ComparisonSummary(windows: model.windows)
    let clock = ContinuousClock()
    let start = clock.now
    let windows = model.windows
    let comparer = DistributionComparer(
      model: OutputHead(model.model.weights.head), base: base.head, workers: model.options.workers)
    let total = windows.tokenCount(in: windows.windows.indices) + base.tokenCount
    var reader = BaseReader(base)
    for batch in model.batches {
      let places = windows.places(in: batch)
      func report(baseTokensRun: Int) {
        progress(
          Progress(
            activity: "compare", detail: "window \(batch.upperBound)/\(windows.windows.count)",
            completed: summary.model.tokensRun + baseTokensRun, total: total, unit: .tokens))
      }
      let baseHidden = try reader.next(places.count) { hidden, tokensRun in
        try computed(hidden)
        report(baseTokensRun: tokensRun)
      }
      let hidden = try model.hiddenStates(of: batch)
      let targets = places.map { model.tokens[$0.index] }
      let findings = comparer.compare(targets, modelHidden: hidden, baseHidden: baseHidden)
      for (index, place) in places.enumerated() {
        let token = ComparedToken(
          scored: ScoredToken(
            window: place.window, position: place.position, token: targets[index],
            logProbability: findings[index].logProbability),
          baseLogProbability: findings[index].baseLogProbability,
          divergence: findings[index].divergence, hasSameTop: findings[index].hasSameTop)
        try compared(token)
        summary.add(token)
      }
      summary.model.tokensRun += windows.tokenCount(in: batch)
      summary.model.seconds = (clock.now - start).inSeconds
      report(baseTokensRun: reader.tokensRun)
    }
    return summary
  }
}

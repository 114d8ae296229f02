// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How a model differs from a base over some positions (`Docs/Numerics.md` has the formulas).
package struct ComparisonFigures: Sendable, Equatable {
  /// Percentiles that are given of the divergence.
  package static let percents: [Double] = [50, 90, 95, 99, 99.9]

  /// Number of positions.
  package let tokenCount: Int
  /// KL(base || model) in nats.
  package let divergence: SampleMean
  /// Its percentiles, in the order of `percents`.
  package let divergencePercentiles: [Double]
  /// The largest one.
  package let largestDivergence: Double
  /// Share of positions at which both have the same most likely token.
  package let sameTop: SampleMean
  /// ln(perplexity of the model / perplexity of the base): the mean difference of -ln p(token).
  package let logPerplexityRatio: SampleMean
  /// Change of p(token), from the base to the model.
  package let probabilityChange: SampleMean
  /// Root of the mean square of that change.
  package let rootMeanSquareChange: Double
  /// Mean of -ln p(token) of the base.
  package let baseMeanNegativeLogLikelihood: SampleMean
  /// Mean of -ln p(token) of the model.
  package let meanNegativeLogLikelihood: SampleMean

  /// The figures over some positions.
  package init(_ tokens: [ComparedToken]) {
    tokenCount = tokens.count
    let divergences = tokens.map(\.divergence)
    divergence = SampleMean(divergences)
    let sorted = divergences.sorted()
    divergencePercentiles = Self.percents.map { Self.percentile($0, of: sorted) }
    largestDivergence = sorted.last ?? .nan
    sameTop = SampleMean(tokens.map { $0.hasSameTop ? 1 : 0 })
    logPerplexityRatio = SampleMean(tokens.map { $0.baseLogProbability - $0.scored.logProbability })
    let changes = tokens.map { exp($0.scored.logProbability) - exp($0.baseLogProbability) }
    probabilityChange = SampleMean(changes)
    rootMeanSquareChange = SampleMean(changes.map { $0 * $0 }).value.squareRoot()
    baseMeanNegativeLogLikelihood = SampleMean(tokens.map { -$0.baseLogProbability })
    meanNegativeLogLikelihood = SampleMean(tokens.map { -$0.scored.logProbability })
  }

  /// The value below which so many percent lie, linear between neighbours: place
  /// `percent / 100 * (n - 1)` of the sorted values.
  static func percentile(_ percent: Double, of sorted: [Double]) -> Double {
    guard let last = sorted.last else { return .nan }
    let place = percent / 100 * Double(sorted.count - 1)
    guard let index = Int(exactly: place.rounded(.down)), index + 1 < sorted.count else {
      return last
    }
    return sorted[index] + (place - Double(index)) * (sorted[index + 1] - sorted[index])
  }
}

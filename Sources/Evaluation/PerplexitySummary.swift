// SPDX-License-Identifier: Apache-2.0

import Glibc

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

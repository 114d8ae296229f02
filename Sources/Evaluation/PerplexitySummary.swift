// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The figures of a perplexity run.
package struct PerplexitySummary: Sendable {
  /// Tokens that went through the model.
  package internal(set) var tokensRun = 0
  /// Time that this took.
  package internal(set) var seconds = 0.0
  /// -ln p of each scored token: a comparison takes the same mean of the same values, so that one figure
  /// has the same digits wherever it is shown.
  private var negativeLogLikelihoods: [Double] = []

  mutating func add(_ logProbability: Double) {
    negativeLogLikelihoods.append(-logProbability)
  }

  /// Tokens that were scored.
  package var tokensScored: Int { negativeLogLikelihoods.count }

  /// Mean of -ln p, in nats, with its standard error.
  package var negativeLogLikelihood: SampleMean { SampleMean(negativeLogLikelihoods) }

  /// exp of the mean of -ln p.
  package var perplexity: Double { exp(negativeLogLikelihood.value) }

  /// Standard error of `perplexity`, to first order: perplexity times that of the mean.
  package var perplexityStandardError: Double { perplexity * negativeLogLikelihood.standardError }

  /// Tokens through the model for each second.
  package var tokensPerSecond: Double { seconds > 0 ? Double(tokensRun) / seconds : 0 }
}

// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Two distributions over a block of the vocabulary, compared: base p and model q.
///
/// Logits are float32; everything here is float64, in the order of the ids.
package struct BlockDivergence: Sendable, Equatable {
  /// The largest logit and the lowest place in the block that has it.
  package struct Top: Sendable, Equatable {
    package let place: Int
    package let logit: Float
  }

  package let baseTop: Top
  package let modelTop: Top
  /// ln of the sum of exp(logit), for each of the two.
  package let baseLogSum: Double
  package let modelLogSum: Double
  /// KL(p || q) of the two distributions within the block, each normalised there, in nats.
  package let divergence: Double

  /// Compares two rows of logits.
  ///
  /// - Parameters:
  ///   - base: Logits of the base, `[n]`, n at least 1.
  ///   - model: Logits of the model, `[n]`.
  /// - Complexity: 2 n exponentials.
  package init(base: Span<Float>, model: Span<Float>) {
    precondition(base.count == model.count && base.count > 0, "blocks differ in length")
    baseTop = Top(of: base)
    modelTop = Top(of: model)
    let (baseShift, modelShift) = (Double(baseTop.logit), Double(modelTop.logit))
    var (baseTerms, baseSum) = ([Double](repeating: 0, count: base.count), 0.0)
    var (modelTerms, modelSum) = (baseTerms, 0.0)
    for index in 0..<base.count {
      baseTerms[index] = exp(Double(base[index]) - baseShift)
      baseSum += baseTerms[index]
      modelTerms[index] = exp(Double(model[index]) - modelShift)
      modelSum += modelTerms[index]
    }
    baseLogSum = baseShift + log(baseSum)
    modelLogSum = modelShift + log(modelSum)
    var divergence = 0.0
    for index in 0..<base.count {
      // In this order even logits of 1e38 lose nothing.
      let logRatio = (Double(model[index]) - modelLogSum) - (Double(base[index]) - baseLogSum)
      divergence += divergenceTerm(
        p: baseTerms[index] / baseSum, q: modelTerms[index] / modelSum, logRatio: logRatio)
    }
    self.divergence = divergence
  }
}

extension BlockDivergence.Top {
  fileprivate init(of logits: Span<Float>) {
    var top = Self(place: 0, logit: logits[0])
    for place in 1..<max(logits.count, 1) where logits[place] > top.logit {
      top = Self(place: place, logit: logits[place])
    }
    self = top
  }
}

/// q - p - p ln(q / p): what one outcome adds to KL(p || q).
///
/// The sum over all outcomes is the sum of p ln(p / q), since p and q each sum to one; but no term is
/// negative, so nothing cancels, and an error of the normalisers cancels to first order. With d = ln(q / p) a
/// term is p (e^d - 1 - d), whose own cancellation near d = 0 the power series avoids.
///
/// - Parameters:
///   - p: Probability under the base.
///   - q: Probability under the model.
///   - logRatio: ln(q / p), which is exact where p and q underflow.
/// - Returns: The term, in nats; at least 0.
func divergenceTerm(p: Double, q: Double, logRatio: Double) -> Double {
  let d = logRatio
  guard d.magnitude < 0.25 else { return q - p - p * d }
  // d^2/2! + d^3/3! + … up to d^13/13!; what is left out is below 2^-53 of the sum.
  var sum = 1.0 / 6_227_020_800
  sum = sum * d + 1.0 / 479_001_600
  sum = sum * d + 1.0 / 39_916_800
  sum = sum * d + 1.0 / 3_628_800
  sum = sum * d + 1.0 / 362_880
  sum = sum * d + 1.0 / 40320
  sum = sum * d + 1.0 / 5040
  sum = sum * d + 1.0 / 720
  sum = sum * d + 1.0 / 120
  sum = sum * d + 1.0 / 24
  sum = sum * d + 1.0 / 6
  sum = sum * d + 1.0 / 2
  return p * (d * d * sum)
}

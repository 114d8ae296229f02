// SPDX-License-Identifier: Apache-2.0

import Kernels
import Quantization

/// What is known about the inputs of a matrix, or why nothing is.
typealias InputKnowledge = Result<RoundingMetric, UnknownInputs>

/// Why nothing is known about the inputs of a matrix.
enum UnknownInputs: Error, Equatable, CustomStringConvertible {
  /// It has none: its rows are looked up.
  case lookedUp
  /// They were not collected.
  case notCollected
  /// What was collected is of no use.
  case moments(RoundingMetric.Problem)

  var description: String {
    switch self {
    case .lookedUp: "is looked up and not multiplied with"
    case .notCollected: "its inputs were not collected"
    case .moments(let problem): problem.description
    }
  }
}

extension InputKnowledge {
  /// What moments tell; see `RoundingMetric.init`.
  static func of(
    _ moments: SecondMoments, prior: SecondMoments? = nil, priorTokens: Int = 0
  ) -> InputKnowledge {
    do throws(RoundingMetric.Problem) {
      return .success(try RoundingMetric(moments, prior: prior, priorTokens: priorTokens))
    } catch {
      return .failure(.moments(error))
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

package import Kernels

/// What the inputs of a product say about the errors of its weights.
///
/// With second moments H of the inputs, rounding a row w to q costs (w - q) H (w - q)^T on average for
/// each token. H is damped, H + lambda mean(diag H) I, so that it can be inverted however few tokens there
/// were, and divided by the mean of its diagonal.
package struct RoundingMetric: Sendable {
  /// Length of a row.
  package let dimension: Int
  /// Tokens that H was summed over.
  package let tokenCount: Int
  /// Damped H, `[n, n]`.
  package let moments: Matrix
  /// U with U^T U the inverse of damped H, `[n, n]`.
  package let factor: Matrix
  /// Weight of each column's squared error when later columns make up for it: 1 / U[j][j]^2.
  package let importance: [Float]
  /// The diagonal of damped H: what a squared error of each column costs if nothing makes up for it.
  package var secondMoments: [Float] { (0..<dimension).map { moments[$0, $0] } }
  /// Damping that was needed, lambda.
  package let damping: Double

  /// Damping that is tried first, and the factor and number of further tries.
  package static let firstDamping = 0.01
  private static let dampingGrowth = 10.0
  private static let tries = 4

  /// Why moments are of no use.
  package enum Problem: Error, Equatable, CustomStringConvertible {
    /// There were no tokens.
    case noTokens
    /// All inputs are 0.
    case zeroInputs
    /// Squares of the inputs do not fit in a number.
    case tooLarge
    /// No damping makes them invertible.
    case singular

    /// The problem in words, about a matrix.
    package var description: String {
      switch self {
      case .noTokens: "no calibration token gets there"
      case .zeroInputs: "its inputs are 0 for every calibration token"
      case .tooLarge: "its inputs are too large for their squares to be summed"
      case .singular: "the moments of its inputs cannot be inverted"
      }
    }
  }

  /// Prepares moments.
  ///
  /// - Parameters:
  ///   - collected: What was collected.
  ///   - prior: Moments that take the place of what too few tokens do not tell, or nil.
  ///   - priorTokens: How many tokens the prior counts for.
  ///   - firstDamping: Lambda to begin with.
  /// - Throws: `Problem` if they cannot be used.
  package init(
    _ collected: SecondMoments, prior: SecondMoments? = nil, priorTokens: Int = 0,
    firstDamping: Double = Self.firstDamping
  ) throws(Problem) {
    let dimension = collected.dimension
    self.dimension = dimension
    tokenCount = collected.tokenCount
    var means = collected.means()
    if let prior, priorTokens > 0 {
      let share = Double(priorTokens) / Double(priorTokens + collected.tokenCount)
      let shared = prior.means()
      // The prior's size says nothing about these tokens, only its shape.
      let factor = Self.meanDiagonal(means, dimension) / Self.meanDiagonal(shared, dimension)
      guard factor.isFinite else { throw shared.allSatisfy { $0 == 0 } ? .zeroInputs : .tooLarge }
      for index in means.indices {
        means[index] = (1 - share) * means[index] + share * factor * shared[index]
      }
    }
    let mean = Self.meanDiagonal(means, dimension)
    guard collected.tokenCount > 0 else { throw .noTokens }
    guard mean != 0 else { throw .zeroInputs }
    guard mean > 0, mean.isFinite else { throw .tooLarge }
    for index in means.indices { means[index] /= mean }

    guard
      let (damping, inverse) = Self.invert(
        &means, dimension: collected.dimension, firstDamping: firstDamping)
    else { throw .singular }
    self.damping = damping
    moments = Self.matrix(means, collected.dimension)
    factor = Self.matrix(inverse, dimension)
    importance = (0..<collected.dimension).map { index in
      let element = inverse[index * collected.dimension + index]
      return Float(1 / (element * element))
    }
  }

  /// Adds to the diagonal what is needed to invert a matrix.
  ///
  /// - Returns: What was added, and U of the result.
  private static func invert(
    _ elements: inout [Double], dimension: Int, firstDamping: Double
  ) -> (damping: Double, factor: [Double])? {
    var damping = firstDamping
    var added = 0.0
    for _ in 0..<tries {
      for index in 0..<dimension { elements[index * dimension + index] += damping - added }
      added = damping
      if let factor = inverseFactor(of: elements, dimension: dimension) {
        return (damping, factor)
      }
      damping *= dampingGrowth
    }
    return nil
  }

  private static func meanDiagonal(_ elements: [Double], _ dimension: Int) -> Double {
    var sum = 0.0
    for index in 0..<dimension { sum += elements[index * dimension + index] }
    return dimension > 0 ? sum / Double(dimension) : 0
  }

  private static func matrix(_ elements: [Double], _ dimension: Int) -> Matrix {
    Matrix(rows: dimension, columns: dimension, elements: elements.map { Float($0) })
  }
}

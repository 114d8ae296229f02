// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// How a tensor of one checkpoint relates to the tensor of that name in another.
package struct TensorComparison: Sendable, Equatable {
  /// What was found, from the best to the worst.
  package enum Verdict: String, CaseIterable, Sendable {
    /// The same encoding and the same bytes.
    case identical
    /// The same values: two NaN are the same, and so are 0 and -0.
    case equal
    /// One side was rounded from the other, and every value is within what its scheme permits
    /// (`Docs/Numerics.md`).
    case withinBound = "within_bound"
    /// Some values are further apart, or differ in a tensor that is never rounded.
    case different
    /// Other dimensions; values are not compared.
    case shape
    /// Only the other checkpoint has it.
    case missing
    /// Only the first checkpoint has it.
    case extra

    /// Whether the tensor alone makes the checkpoints differ.
    package var isDifference: Bool {
      switch self {
      case .identical, .equal, .withinBound: false
      case .different, .shape, .missing, .extra: true
      }
    }
  }

  /// One side.
  package struct Side: Sendable, Equatable {
    package let encoding: TensorEncoding
    package let shape: TensorShape
  }

  /// Its name in the released dialect.
  package let name: ExactString
  /// What it does in the model.
  package let role: TensorRole
  /// In the first checkpoint.
  package let left: Side?
  /// In the other one.
  package let right: Side?
  /// What was found.
  package let verdict: Verdict
  /// Which sides can be a rounding of the other; none unless the verdict is `withinBound`.
  package let rounded: RoundedSides
  /// What was measured.
  package let tally: ComparisonTally

  /// Dimensions of the side that there is, of the first if there are both.
  package var shape: TensorShape? { left?.shape ?? right?.shape }

  /// An index into the elements as one index for each dimension.
  package func position(of element: Int) -> [Int] {
    var rest = element
    var position: [Int] = []
    for dimension in (shape?.dimensions ?? []).reversed() {
      position.append(rest % max(dimension, 1))
      rest /= max(dimension, 1)
    }
    return position.reversed()
  }
}

/// What was measured on some elements of two tensors.
package struct ComparisonTally: Sendable, Equatable {
  /// Whether codes, scales and elements have the same bytes.
  package var hasSameBytes = true
  /// Elements that are not equal.
  package var unequalCount = 0
  /// Elements that are further apart than is permitted; the first of them.
  package var differingCount = 0
  package var firstDiffering: Int?
  /// Elements that are NaN or infinite on one side and became a number on the other, as is permitted.
  package var replacedCount = 0
  /// The largest distance of two finite values, and where it is.
  package var largestDifference = 0.0
  package var largestDifferenceElement: Int?
  /// The largest distance in units of what is permitted, where something is; at most 1 unless elements
  /// differ.
  package var worstRatio = 0.0
  /// Whether the plain elements are what the values of codes give in BF16.
  package var isRoundedFromCodes = true

  /// Nothing yet.
  package init() {}

  /// Adds what was measured on later elements.
  mutating func append(_ other: ComparisonTally) {
    hasSameBytes = hasSameBytes && other.hasSameBytes
    unequalCount += other.unequalCount
    differingCount += other.differingCount
    firstDiffering = firstDiffering ?? other.firstDiffering
    replacedCount += other.replacedCount
    if other.largestDifference > largestDifference {
      largestDifference = other.largestDifference
      largestDifferenceElement = other.largestDifferenceElement
    }
    worstRatio = max(worstRatio, other.worstRatio)
    isRoundedFromCodes = isRoundedFromCodes && other.isRoundedFromCodes
  }

  /// Counts a pair of unequal finite values.
  ///
  /// - Parameters:
  ///   - element: Its index.
  ///   - difference: Their distance.
  ///   - limit: The distance that is permitted; 0 if they have to be equal.
  mutating func add(_ element: Int, difference: Double, limit: Double) {
    unequalCount += 1
    measure(element, difference: difference, limit: limit)
    if !(difference <= limit) { addDiffering(element) }
  }

  /// Measures a pair that is counted elsewhere.
  mutating func measure(_ element: Int, difference: Double, limit: Double) {
    if difference > largestDifference {
      largestDifference = difference
      largestDifferenceElement = element
    }
    if limit > 0 { worstRatio = max(worstRatio, difference / limit) }
  }

  /// Counts a pair of which at least one is not finite.
  mutating func addNonFinite(_ element: Int, isPermitted: Bool) {
    unequalCount += 1
    if isPermitted { replacedCount += 1 } else { addDiffering(element) }
  }

  private mutating func addDiffering(_ element: Int) {
    differingCount += 1
    firstDiffering = firstDiffering ?? element
  }

  /// What this says about a tensor.
  func verdict(sameEncoding: Bool) -> TensorComparison.Verdict {
    if sameEncoding, hasSameBytes { return .identical }
    if unequalCount == 0 { return .equal }
    return differingCount == 0 ? .withinBound : .different
  }
}

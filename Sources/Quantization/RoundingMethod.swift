// SPDX-License-Identifier: Apache-2.0

/// How the scale of a group is chosen.
///
/// Codes follow from the scale in the same way, but for the last one, whose codes make up for each other.
package enum RoundingMethod: String, CaseIterable, Sendable {
  /// The largest magnitude of the group sets the scale.
  case roundToNearest = "rtn"
  /// The scale with the smallest squared error that a search finds; never worse than the other. With a
  /// calibration text, each column's squared error counts by the second moment of its input.
  case search
  /// Rounding against the second moments of the inputs, which a calibration text gives: GPTQ with coordinate
  /// descent. Where there are none, it is `search`.
  case gptq

  /// Whether a calibration text is needed.
  package var needsCalibration: Bool { self == .gptq }
}

/// What quantization cost, summed over the finite elements of some rows.
package struct QuantizationStatistics: Sendable, Equatable {
  /// Sum of (value - code * scale)^2.
  package var squaredError: Double
  /// Sum of value^2.
  package var squaredNorm: Double
  /// Elements, the ones that are not finite included.
  package var elementCount: Int
  /// Elements that were NaN; their codes are 0.
  package var nanCount: Int
  /// Elements that were infinite; they became the extreme value of their sign.
  package var infinityCount: Int

  /// Sums that somebody else made; nothing by default.
  package init(
    squaredError: Double = 0, squaredNorm: Double = 0, elementCount: Int = 0, nanCount: Int = 0,
    infinityCount: Int = 0
  ) {
    self.squaredError = squaredError
    self.squaredNorm = squaredNorm
    self.elementCount = elementCount
    self.nanCount = nanCount
    self.infinityCount = infinityCount
  }

  /// Root of error over norm; 0 where there is nothing to lose.
  package var relativeError: Double {
    squaredNorm > 0 ? (squaredError / squaredNorm).squareRoot() : 0
  }

  /// The sums of both.
  ///
  /// Floating-point addition is not associative: add the parts of a tensor in the order of its
  /// rows, whatever thread finished first.
  package static func + (left: Self, right: Self) -> Self {
    Self(
      squaredError: left.squaredError + right.squaredError,
      squaredNorm: left.squaredNorm + right.squaredNorm,
      elementCount: left.elementCount + right.elementCount,
      nanCount: left.nanCount + right.nanCount,
      infinityCount: left.infinityCount + right.infinityCount)
  }
}

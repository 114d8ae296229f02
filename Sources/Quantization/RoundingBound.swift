// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// How far a weight may be from the value that stands for it, by the rules of quantization.
///
/// `Docs/Numerics.md` derives these bounds. They hold for both methods and for every weight that is
/// finite, so a pair beyond them was not made by quantizing the one into the other.
package struct RoundingBound: Sendable {
  private let range: CodeRange
  /// Whether codes may make up for each other: then `calibratedSteps` scales are permitted everywhere.
  private let isCalibrated: Bool

  /// How many scales a weight may be from its value after error feedback.
  ///
  /// Rows that would have a larger distance are rounded without it.
  package static let calibratedSteps: Float = 8

  /// Room for the quotient weight / scale, which is below 129 and rounded to float32.
  private static let quotientSlack: Float = 0x1p-16
  /// Room for magnitude / 7.5, rounded to float32 before it is rounded to BF16.
  private static let scaleSlack: Float = 1 + 0x1p-15
  /// Room for squared errors, whose terms were rounded to float32.
  private static let errorSlack = 1 + 0x1p-20

  /// The bounds for codes of one width.
  ///
  /// - Parameters:
  ///   - bits: 4, 5, 6 or 8.
  ///   - isCalibrated: Whether the file says that a calibration chose its codes.
  package init(bits: Int, isCalibrated: Bool = false) {
    self.isCalibrated = isCalibrated
    range = CodeRange(bits: bits)
  }

  /// The distance that rounding permits: half a scale, or more after error feedback.
  @inline(__always)
  package func rounding(scale: Float) -> Float {
    abs(scale) * ((isCalibrated ? Self.calibratedSteps : 0.5) + Self.quotientSlack)
  }

  /// The largest weight of a group whose codes are all 0.
  package var empty: Float { range.halfWidth * 0x1p-134 * Self.scaleSlack }

  /// Whether a value is that of the first or the last code, behind which weights are clipped.
  package func isLast(_ value: Float, scale: Float) -> Bool {
    let code = value / scale
    return code >= range.maximum || code <= range.minimum
  }

  /// How far weights of one group may lie beyond the last code.
  package struct Clipping: Sendable {
    fileprivate var reach: Float
    fileprivate var error: Float

    /// The distance that is permitted for a value.
    package func distance(beyond value: Float) -> Float {
      max(reach - abs(value), error)
    }
  }

  /// Clipping in a group with these weights.
  ///
  /// A scale is that of round-to-nearest, or one whose squared error over the group is smaller.
  package func clipping(weights: Span<Float>, in group: Range<Int>, scale: BFloat16) -> Clipping {
    var largest: Float = 0
    for index in group where weights[index].isFinite { largest = max(largest, abs(weights[index])) }
    let nearest = range.nearestScale(largestMagnitude: largest)
    if nearest == scale { return Clipping(reach: reach(scale), error: 0) }
    var squaredError = 0.0
    for index in group where weights[index].isFinite {
      let code = range.code(weights[index], scale: nearest.floatValue)
      let error = Double(weights[index]) - Double(code) * Double(nearest.floatValue)
      squaredError += error * error
    }
    return Clipping(reach: 0, error: Float(squaredError.squareRoot() * Self.errorSlack))
  }

  /// The largest weight of a group that round-to-nearest gives this scale.
  private func reach(_ scale: BFloat16) -> Float {
    let magnitude = BFloat16(bitPattern: scale.bitPattern & 0x7FFF)
    if magnitude.bitPattern >= range.largestScale.bitPattern { return .greatestFiniteMagnitude }
    let next = BFloat16(bitPattern: magnitude.bitPattern + 1).floatValue
    let middle = magnitude.floatValue + (next - magnitude.floatValue) / 2
    return range.halfWidth * middle * Self.scaleSlack
  }

  /// Whether a value may stand for a weight that is not finite: 0 for NaN, the last code of its sign for
  /// an infinity.
  package func permits(_ value: Float, forNonFinite weight: Float, scale: Float) -> Bool {
    weight.isNaN
      ? value == 0
      : (value < 0) == (weight < 0) && isLast(value, scale: scale)
  }
}

// SPDX-License-Identifier: Apache-2.0

/// Norm of the difference over norm of the expected values, both in double precision.
///
/// Infinite if the counts differ or a value is NaN, so that a comparison with a bound fails.
package func relativeError(_ found: [Float], _ expected: [Float]) -> Double {
  guard found.count == expected.count else { return .infinity }
  var (difference, norm) = (0.0, 0.0)
  for (found, expected) in zip(found, expected) {
    let distance = Double(found) - Double(expected)
    difference += distance * distance
    norm += Double(expected) * Double(expected)
  }
  guard difference.isFinite else { return .infinity }
  return difference == 0 ? 0 : (difference / norm).squareRoot()
}

/// Whether two arrays have the same bits, signs of zero included; any NaN is like any other.
package func sameBits(_ left: [Float], _ right: [Float]) -> Bool {
  left.count == right.count
    && zip(left, right).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
}

extension SeededGenerator {
  /// Numbers in a range.
  package mutating func floats(_ count: Int, in range: ClosedRange<Float>) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore
import TestSupport
import Testing

/// The search for scales finds nearly what trying every scale finds.
@Suite struct ScaleSearchTests {
  /// The least squared error of a group over all BF16 scales of both signs from a tenth to 1.5 times that of
  /// round-to-nearest.
  private func leastError(_ values: ArraySlice<Float>, _ range: CodeRange) -> Double {
    let largest = values.reduce(0) { max($0, abs($1)) }
    let nearest = range.nearestScale(largestMagnitude: largest).floatValue
    let (first, last) = (BFloat16(nearest * 0.1).bitPattern, BFloat16(nearest * 1.5).bitPattern)
    var least = Double.infinity
    for bits in first...last {
      for sign: Float in [1, -1] {
        let scale = sign * BFloat16(bitPattern: bits).floatValue
        let error = values.reduce(0.0) { sum, value in
          let quotient = min(max(value / scale, range.minimum), range.maximum)
          let error = Double(value - quotient.rounded(.toNearestOrEven) * scale)
          return sum + error * error
        }
        least = min(least, error)
      }
    }
    return least
  }

  @Test(arguments: integerEncodings)
  func `errors are hardly larger than with the best of all scales`(encoding: TensorEncoding) {
    var random = SeededGenerator(seed: 12)
    let columns = 512
    let weights = (0..<4 * columns).map { _ in normalWeight(using: &random) }
    let rows = QuantizedRows(weights, columns: columns, encoding, .search)
    let range = CodeRange(bits: rows.bits)
    var (found, least) = (0.0, 0.0)
    for group in rows.scales.indices {
      let start = group * rows.groupLength
      found += rows.squaredError(group: group)
      least += leastError(weights[start..<start + rows.groupLength], range)
    }
    // Rows may have elements far outside, for which scales are tried in larger steps.
    let tolerance = rows.groupLength == columns ? 0.01 : 0.001
    #expect(found >= least * (1 - 1e-9) && found < least * (1 + tolerance))
  }
}

// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore
import TestSupport
import Testing

/// No weight is further from its value than the bounds say, and they say something.
@Suite struct RoundingBoundTests {
  /// The distance that is permitted for one element, from the bounds for groups.
  private func limit(
    _ rows: QuantizedRows, _ values: [Float], _ index: Int
  ) -> Float {
    let bound = RoundingBound(bits: rows.bits)
    let group = index / rows.groupLength
    let range = group * rows.groupLength..<(group + 1) * rows.groupLength
    let (scale, value) = (rows.scales[group], values[index])
    if values[range].allSatisfy({ $0 == 0 }) { return bound.empty }
    let rounding = bound.rounding(scale: scale.floatValue)
    guard abs(rows.values[index]) > abs(value), value != 0,
      bound.isLast(value, scale: scale.floatValue)
    else { return rounding }
    let clipping = bound.clipping(weights: rows.values.span, in: range, scale: scale)
    return max(rounding, clipping.distance(beyond: value))
  }

  private func expectBound(_ rows: QuantizedRows, _ comment: Comment) {
    let bound = RoundingBound(bits: rows.bits)
    let values = rows.dequantized
    for (index, value) in values.enumerated() {
      let weight = rows.values[index]
      guard weight.isFinite else {
        #expect(
          bound.permits(value, forNonFinite: weight, scale: rows.scale(of: index)), comment)
        continue
      }
      let distance = abs(Double(weight) - Double(value))
      let limit = Double(limit(rows, values, index))
      if !(distance <= limit) {
        Issue.record("\(comment) \(index): \(weight) as \(value), permitted \(limit)")
      }
    }
  }

  @Test(arguments: integerEncodings, RoundingMethod.allCases)
  func `weights of every size and shape stay within the bounds`(
    encoding: TensorEncoding, method: RoundingMethod
  ) {
    var random = SeededGenerator()
    let columns = 384
    for exponent in [
      -149, -140, -135, -134, -133, -132, -130, -126, -110, -101, -99, -20, 0, 99, 101, 121, 126,
    ] {
      let unit = Float(sign: .plus, exponent: exponent, significand: 1)
      for outlier: Float in [1, 6, 300] {
        var weights = (0..<3 * columns).map { _ in random.normal() * unit }
        for index in stride(from: 5, to: weights.count, by: 97) { weights[index] *= outlier }
        weights = weights.map { $0.isFinite ? $0 : .greatestFiniteMagnitude }
        expectBound(
          QuantizedRows(weights, columns: columns, encoding, method), "2^\(exponent) * \(outlier)")
      }
    }
  }

  @Test(arguments: integerEncodings, RoundingMethod.allCases)
  func `constant, empty, one-sided and extreme groups`(
    encoding: TensorEncoding, method: RoundingMethod
  ) {
    let largest = Float.greatestFiniteMagnitude
    let makers: [(name: String, weight: @Sendable (Int) -> Float)] = [
      ("constant", { _ in 0.37 }), ("negative", { _ in -1.7e30 }), ("zeros", { _ in -0.0 }),
      ("one number", { $0 % 128 == 3 ? 41 : 0 }), ("ties", { Float($0 % 16) - 7.5 }),
      ("rising", { Float($0 % 128) / 128 }), ("largest", { $0 % 2 == 0 ? largest : -largest }),
      ("one largest", { $0 % 32 == 0 ? largest : 1 }),
      ("subnormal", { Float(bitPattern: UInt32($0 % 128)) }),
      ("not finite", { [.nan, .infinity, -.infinity, 0.5, -1][$0 % 5] }),
      ("nothing finite", { [.nan, .infinity, -.infinity][$0 % 3] }),
    ]
    for (name, weight) in makers {
      expectBound(
        QuantizedRows((0..<256).map(weight), columns: 128, encoding, method), "\(name)")
    }
  }

  @Test(arguments: integerEncodings)
  func `a code that is off by one is beyond them`(encoding: TensorEncoding) {
    var random = SeededGenerator(seed: 6)
    let weights = (0..<384).map { _ in normalWeight(using: &random) }
    let rows = QuantizedRows(weights, columns: 384, encoding)
    var values = rows.dequantized
    for (index, code) in rows.codes.enumerated() {
      let scale = rows.scale(of: index)
      for other in [code - 1, code + 1] where (rows.lowest...rows.highest).contains(other) {
        let value = values[index]
        values[index] = Float(other) * scale
        let isTie = abs(abs(weights[index] / scale - Float(code)) - 0.5) < 1e-3
        let distance = abs(weights[index] - values[index])
        #expect(isTie || distance > limit(rows, values, index))
        values[index] = value
      }
    }
  }

  @Test func `rounding to nearest clips next to nothing, and a searched scale is told from it`() {
    let bound = RoundingBound(bits: 4)
    let weights = (0..<32).map { Float($0) - 16 }
    let nearest = CodeRange(bits: 4).nearestScale(largestMagnitude: 16)
    let clipping = bound.clipping(weights: weights.span, in: 0..<32, scale: nearest)
    #expect(clipping.distance(beyond: 7 * nearest.floatValue) < 0.53 * nearest.floatValue)
    #expect(clipping.distance(beyond: 8 * nearest.floatValue) == 0)
    let other = bound.clipping(weights: weights.span, in: 0..<32, scale: BFloat16(1.75))
    // sqrt(32) * 2.13 / sqrt(12) if the error of codes were evenly spread.
    #expect((3..<4).contains(other.distance(beyond: 12)))
  }
}

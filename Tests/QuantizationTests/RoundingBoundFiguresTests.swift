// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore
import Testing

/// Bounds that were computed by hand.
@Suite struct RoundingBoundFiguresTests {
  @Test func `half a scale is permitted, eight after error feedback`() {
    for scale: Float in [2, -2] {
      let nearest = RoundingBound(bits: 4).rounding(scale: scale)
      #expect(nearest >= 1 && nearest < 1.0001)
      let calibrated = RoundingBound(bits: 4, isCalibrated: true).rounding(scale: scale)
      #expect(calibrated >= 16 && calibrated < 16.001)
    }
  }

  @Test func `beyond the last code there is what round-to-nearest would have lost`() {
    let bound = RoundingBound(bits: 4)
    // The second group has a scale of 1, and errors of 0.5 and 0.25; what is not finite has none.
    var weights = [Float](repeating: 40, count: 32) + [Float](repeating: 0, count: 32)
    weights.replaceSubrange(32..<37, with: [7.5, 1, 0.25, .nan, -.infinity])
    let searched = bound.clipping(weights: weights.span, in: 32..<64, scale: BFloat16(0.75))
    for value: Float in [5.25, -6] {
      let distance = searched.distance(beyond: value)
      #expect(distance >= 0.559016 && distance < 0.559019)
    }
    // A scale of 1 stands for magnitudes up to 7.5 * (1 + 2^-8) = 7.5293.
    let nearest = bound.clipping(weights: weights.span, in: 32..<64, scale: BFloat16(1))
    for (value, expected) in [(7, 0.5293), (-7, 0.5293), (-7.5, 0.0293), (8, 0)] as [(Float, Float)]
    {
      let distance = nearest.distance(beyond: value)
      #expect(distance >= expected - 1e-6 && distance < expected + 0.0003, "\(value)")
    }
  }

  @Test(arguments: [(4, -8, 7), (5, -16, 15), (6, -32, 31), (8, -128, 127)])
  func `the last codes are those of the range`(bits: Int, lowest: Float, highest: Float) {
    let bound = RoundingBound(bits: bits)
    for scale: Float in [0.5, -0.5] {
      for (code, isLast) in [
        (highest, true), (highest - 1, false), (lowest, true), (lowest + 1, false), (0, false),
      ] {
        #expect(bound.isLast(code * scale, scale: scale) == isLast)
      }
      // NaN is 0, infinities are the last code of their sign.
      let (up, down) = scale > 0 ? (highest, lowest) : (lowest, highest)
      for (weight, code, isPermitted) in [
        (.nan, 0, true), (.nan, 1, false), (.nan, highest, false), (.infinity, up, true),
        (.infinity, down, false), (-.infinity, down, true), (-.infinity, up, false),
        (.infinity, 0, false), (.infinity, up - (up > 0 ? 1 : -1), false),
      ] as [(Float, Float, Bool)] {
        #expect(
          bound.permits(code * scale, forNonFinite: weight, scale: scale) == isPermitted,
          "\(weight) as \(code) * \(scale)")
      }
    }
    // Half of the smallest BF16 number, 2^-133, is still rounded to 0.
    let halfWidth = highest + 0.5
    #expect(bound.empty >= halfWidth * 0x1p-134 && bound.empty < halfWidth * 0x1.01p-134)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore
import Testing

/// The integers that codes can be, and the scales that suit them.
@Suite struct CodeRangeTests {
  @Test(arguments: [4, 5, 6, 8])
  func `a group too small for any scale has that of an empty one`(bits: Int) {
    let range = CodeRange(bits: bits)
    // The smallest BF16 number is 2^-133; half of it is rounded to the even 0.
    let smallest = range.halfWidth * 0x1p-134
    for magnitude in [0, Float.leastNonzeroMagnitude, smallest] {
      #expect(range.nearestScale(largestMagnitude: magnitude) == CodeRange.emptyScale)
    }
    #expect(range.nearestScale(largestMagnitude: smallest * 1.25).bitPattern == 1)
  }

  @Test(arguments: [
    (4, -8, 7, 7.5), (5, -16, 15, 15.5), (6, -32, 31, 31.5), (8, -128, 127, 127.5),
    // No other width is stored.
    (7, -128, 127, 127.5),
  ])
  func `codes are as many as their bits allow`(
    bits: Int, minimum: Float, maximum: Float, halfWidth: Float
  ) {
    let range = CodeRange(bits: bits)
    #expect(range.minimum == minimum && range.maximum == maximum)
    #expect(range.halfWidth == halfWidth && range.offset == Int32(-minimum))
    #expect(range.bits == (bits == 7 ? 8 : bits))
  }

  @Test(arguments: TensorEncoding.codeWidths)
  func `the largest scale is the last whose first value BF16 has`(bits: Int) {
    let range = CodeRange(bits: bits)
    let largest = range.largestScale
    #expect(BFloat16(range.minimum * largest.floatValue).floatValue.isFinite)
    let next = BFloat16(bitPattern: largest.bitPattern + 1)
    #expect(!BFloat16(range.minimum * next.floatValue).floatValue.isFinite)
    #expect(range.nearestScale(largestMagnitude: .greatestFiniteMagnitude) == largest)
    // Just below, nothing is changed.
    let below = BFloat16(bitPattern: largest.bitPattern - 1)
    #expect(range.nearestScale(largestMagnitude: below.floatValue * range.halfWidth) == below)
  }

  @Test(arguments: TensorEncoding.codeWidths)
  func `the nearest scale is the magnitude over half the width`(bits: Int) {
    let range = CodeRange(bits: bits)
    for scale: Float in [1, 0.02, 0x1p-120, 0x1p100] {
      let scale = BFloat16(scale)
      #expect(range.nearestScale(largestMagnitude: scale.floatValue * range.halfWidth) == scale)
    }
    // 2^-7 stands for nothing, and for what no BF16 scale is small enough for.
    for magnitude in [0, 0x1p-149] as [Float] {
      #expect(range.nearestScale(largestMagnitude: magnitude).floatValue == 0x1p-7)
    }
    // The smallest BF16 number is 2^-133; half of it is rounded to 0, more than half to it.
    let smallest = BFloat16(bitPattern: 1)
    #expect(smallest.floatValue == 0x1p-133)
    #expect(range.nearestScale(largestMagnitude: 0x1.2p-134 * range.halfWidth) == smallest)
  }

  @Test func `codes are quotients, clamped and rounded half to even`() {
    let range = CodeRange(bits: 4)
    for (value, scale, code) in [
      (1, 0.5, 2), (1.25, 0.5, 2), (1.75, 0.5, 4), (-1.25, 0.5, -2), (3.75, 0.5, 7), (99, 0.5, 7),
      (-99, 0.5, -8), (-4.25, 0.5, -8), (-3.75, 0.5, -8), (4, -0.5, -8), (-4, -0.5, 7),
      (.nan, 0.5, 0), (.infinity, 0.5, 7), (-.infinity, 0.5, -8), (.infinity, -0.5, -8),
      (0, -0.5, 0),
    ] as [(Float, Float, Int32)] {
      #expect(range.code(value, scale: scale) == code, "\(value) / \(scale)")
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels

/// Pseudo-random operands that are the same in every run (SplitMix64).
///
/// Zeros, or numbers that repeat, would be faster to multiply and to read on some machines than the numbers of
/// a model.
struct SeededNoise: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number between two others, each of 2^24 steps as likely.
  mutating func float(in range: ClosedRange<Float>) -> Float {
    let share = Float(next() >> 40) * 0x1p-24
    return range.lowerBound + (range.upperBound - range.lowerBound) * share
  }

  mutating func floats(_ count: Int, in range: ClosedRange<Float>) -> [Float] {
    (0..<count).map { _ in float(in: range) }
  }

  /// A matrix of numbers between two others.
  mutating func matrix(
    rows: Int, columns: Int, in range: ClosedRange<Float> = -1...1
  ) -> Matrix {
    Matrix(rows: rows, columns: columns, elements: floats(rows * columns, in: range))
  }
}

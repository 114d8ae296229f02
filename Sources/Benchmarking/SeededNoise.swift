// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Pseudo-random operands that are the same in every run.
///
/// Zeros, or numbers that repeat, would be faster to multiply and to read on some machines than the numbers of
/// a model.
struct SeededNoise: RandomNumberGenerator {
  private var generator: SplitMix64

  init(seed: UInt64) {
    generator = SplitMix64(seed: seed)
  }

  mutating func next() -> UInt64 { generator.next() }

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

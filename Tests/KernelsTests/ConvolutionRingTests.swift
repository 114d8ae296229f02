// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// Short convolutions of single tokens, whose last inputs lie in a ring.
@Suite struct ConvolutionRingTests {
  /// More channels than the kernels in C take at a time, and fewer.
  @Test(arguments: [1, 2, 3, 4, 5], [24, 300])
  func `a ring gives the convolution of the whole`(kernel: Int, channels: Int) throws {
    var generator = SeededGenerator(seed: 52)
    let count = 11
    let weights = ShortConvolutionWeights(
      generator.floats(channels * kernel, in: -1...1), kernel: kernel)
    let input = Matrix(
      rows: count, columns: channels, elements: generator.floats(count * channels, in: -2...2))
    var states = [ShortConvolutionState(channels: channels, kernel: kernel)]
    var expected = input
    expected.withSharedRows { rows in
      ShortConvolution.with(weights, sequences: [0..<count], states: &states) {
        $0.apply(to: rows, rows: 0..<count, channels: 0..<channels)
      }
    }
    // Somewhere in a larger piece of memory.
    let place = 5..<5 + channels * kernel
    let memory = try #require(SharedFloats(count: place.upperBound + 3))
    let ring = ConvolutionRing(place: place, channels: channels, kernel: kernel)
    for position in 0..<count {
      let row = ring.row(position)
      memory.withMutable(row..<row + channels) { $0.copy(from: input.rowSpan(position)) }
      for range in [0..<channels, 0..<8, 8..<channels] {
        for set in InstructionSet.available {
          var output = [Float](repeating: .nan, count: range.count)
          var span = output.mutableSpan
          ring.convolve(
            at: position, in: memory, channels: range, taps: weights.taps(channels: range).span,
            into: &span, on: set)
          let whole = Array(expected.row(position)[range])
          #expect(
            set.hasBitsOfTheBest
              ? sameBits(output, whole) : relativeError(output, whole) < 3e-7,
            "token \(position), channels \(range), \(set)")
        }
      }
    }
    for index in [0, 1, 2, 3, 4, place.upperBound] { #expect(memory[index] == 0) }
  }

  @Test func `rows go round, also before the first token`() {
    let ring = ConvolutionRing(place: 10..<22, channels: 4, kernel: 3)
    #expect((-4...4).map { ring.row($0) } == [18, 10, 14, 18, 10, 14, 18, 10, 14])
  }
}

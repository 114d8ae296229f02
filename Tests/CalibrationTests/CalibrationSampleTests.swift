// SPDX-License-Identifier: Apache-2.0

import Calibration
import Testing

/// Which windows of a text are used.
@Suite struct CalibrationSampleTests {
  private let text = Array(0..<1000)

  @Test func `windows are whole, apart, and in the order of the text`() {
    let sample = CalibrationSample(text, windows: 5, context: 64, seed: 1)
    #expect(sample.windowCount == 5 && sample.tokens.count == 5 * 64)
    let starts = stride(from: 0, to: sample.tokens.count, by: 64).map { sample.tokens[$0] }
    #expect(starts == starts.sorted() && Set(starts).count == 5)
    for (index, start) in starts.enumerated() {
      #expect(start % 64 == 0)
      #expect(Array(sample.tokens[index * 64..<(index + 1) * 64]) == Array(start..<start + 64))
    }
  }

  @Test func `a seed means the same windows, another one others`() {
    func sample(_ seed: UInt64) -> CalibrationSample {
      CalibrationSample(text, windows: 5, context: 32, seed: seed)
    }
    #expect(sample(7) == sample(7))
    #expect(sample(7).tokens != sample(8).tokens)
  }

  @Test func `a text with fewer windows is used whole, a shorter one as one window`() {
    #expect(CalibrationSample(text, windows: 50, context: 100, seed: 0).tokens == text)
    let short = CalibrationSample([3, 4, 5], windows: 8, context: 512, seed: 0)
    #expect(short.tokens == [3, 4, 5] && short.context == 3 && short.windowCount == 1)
    #expect(CalibrationSample([], windows: 8, context: 512, seed: 0).tokens.isEmpty)
  }

  @Test(arguments: [
    (10, 4, 1, [5, 6, 7, 9]), (10, 4, 2, [5, 6, 7, 8]), (10, 4, 0, [2, 4, 8, 9]),
    (31, 5, 7, [1, 12, 16, 19, 28]),
  ])
  func `a seed means these windows`(
    available: Int, windows: Int, seed: UInt64, expected: [Int]
  ) {
    // Drawn in Python: state += 0x9E3779B97F4A7C15 and the two multiplications of SplitMix64; for step i, the high
    // half of word * (n - i) says which of the n - i windows behind it window i changes places with.
    let sample = CalibrationSample(
      (0..<available * 3 + 2).map { $0 / 3 }, windows: windows, context: 3, seed: seed)
    #expect(sample.tokens == expected.flatMap { [$0, $0, $0] })
    #expect(sample.availableWindows == available && sample.seed == seed && sample.context == 3)
  }

  @Test(arguments: [
    (4, [0, 2, 5, 7]), (3, [0, 3, 6]), (10, Array(0..<10)), (99, Array(0..<10)), (1, [0]), (0, []),
  ])
  func `some of the windows are spread over all of them`(windows: Int, expected: [Int]) {
    let sample = CalibrationSample(
      (0..<20).map { $0 / 2 }, windows: 10, context: 2, seed: 3)
    let spread = sample.spread(windows)
    #expect(spread.tokens == expected.flatMap { [$0, $0] })
    #expect(spread.windowCount == expected.count && spread.context == 2 && spread.seed == 3)
    #expect(spread.availableWindows == 10)
  }

  @Test(arguments: [
    (6, 3, 2, true), (6, 3, 3, true), (6, 3, 1, false), (7, 3, 9, false), (0, 3, 9, false),
    (6, 0, 9, false), (6, 6, 1, true), (6, 7, 9, false),
  ])
  func `tokens that were drawn before are whole windows of the text`(
    tokens: Int, context: Int, available: Int, isPossible: Bool
  ) {
    let sample = CalibrationSample(
      tokens: Array(0..<tokens), context: context, seed: 4, availableWindows: available)
    #expect((sample != nil) == isPossible)
    if let sample {
      #expect(sample.tokens == Array(0..<tokens) && sample.windowCount == tokens / context)
      #expect(sample.availableWindows == available && sample.seed == 4)
    }
  }
}

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
}

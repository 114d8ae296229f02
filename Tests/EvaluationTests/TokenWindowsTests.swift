// SPDX-License-Identifier: Apache-2.0

import Evaluation
import TestSupport
import Testing

@Suite struct TokenWindowsTests {
  @Test func `windows follow each other and score all but their first token`() {
    let windows = TokenWindows(tokenCount: 10, context: 4)
    #expect(windows.windows.map(\.range) == [0..<4, 4..<8, 8..<10])
    #expect(windows.windows.map(\.firstScored) == [1, 1, 1])
    #expect(windows.scoredCount == 7)
  }

  @Test func `a last token alone is no window`() {
    #expect(TokenWindows(tokenCount: 9, context: 4).windows.map(\.range) == [0..<4, 4..<8])
    #expect(TokenWindows(tokenCount: 1, context: 4).windows.isEmpty)
    #expect(TokenWindows(tokenCount: 0, context: 4).windows.isEmpty)
  }

  @Test func `second half scores positions from half the context on`() {
    let windows = TokenWindows(tokenCount: 20, context: 8, scoring: .secondHalf)
    #expect(windows.windows.map(\.range) == [0..<8, 8..<16])
    #expect(windows.windows.allSatisfy { $0.firstScored == 4 })
    #expect(windows.scoredCount == 8)
  }

  @Test func `with a stride every token but the first is scored once`() {
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<500 {
      let count = Int.random(in: 0...200, using: &generator)
      let context = Int.random(in: 2...50, using: &generator)
      let stride = Int.random(in: 1..<context, using: &generator)
      let windows = TokenWindows(tokenCount: count, context: context, stride: stride)
      let scored = windows.windows.flatMap { window in
        window.range.lowerBound + window.firstScored..<window.range.upperBound
      }
      // A stride leaves at least one token of context, so only token 0 has nothing before it.
      #expect(scored == Array(min(1, count)..<count), "\(count) tokens, \(context), \(stride)")
      #expect(windows.windows.allSatisfy { $0.range.count <= context })
    }
  }
}

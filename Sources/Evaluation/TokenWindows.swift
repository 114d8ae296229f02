// SPDX-License-Identifier: Apache-2.0

/// How a text is cut into windows, and which of their tokens are scored.
///
/// A window is run from an empty state, and its first token is never scored: nothing came before
/// it. By default windows do not overlap. With a stride smaller than the context each window repeats
/// the end of the one before as context, and only tokens that are new are scored.
package struct TokenWindows: Sendable, Equatable {
  /// Which positions of a window count.
  package enum Scoring: String, CaseIterable, Sendable {
    /// All but the first.
    case all
    /// Those at `context / 2` and beyond, which have at least that much context.
    case secondHalf = "second-half"
  }

  /// One window.
  package struct Window: Sendable, Equatable {
    /// Place in the text, in tokens.
    package let range: Range<Int>
    /// First position in the window that is scored.
    package let firstScored: Int

    package init(range: Range<Int>, firstScored: Int) {
      self.range = range
      self.firstScored = firstScored
    }

    /// Tokens that are scored.
    package var scoredCount: Int { max(range.count - firstScored, 0) }
  }

  /// A position that is scored.
  package struct Place: Sendable, Equatable {
    /// Index of the window.
    package let window: Int
    /// Position in the window.
    package let position: Int
    /// Position in the text.
    package let index: Int
  }

  /// Length of the text.
  package let tokenCount: Int
  /// Length of a window.
  package let context: Int
  /// Distance between the starts of two windows.
  package let stride: Int
  /// Which positions count.
  package let scoring: Scoring
  /// The windows, in the order of the text; a last one may be shorter than the others.
  package let windows: [Window]

  /// Cuts a text.
  ///
  /// - Parameters:
  ///   - tokenCount: Length of the text.
  ///   - context: Length of a window, at least 2.
  ///   - stride: Distance between the starts of two windows, 1...context; nil for `context`.
  ///   - scoring: Which positions count.
  package init(tokenCount: Int, context: Int, stride: Int? = nil, scoring: Scoring = .all) {
    let step = stride ?? context
    var windows: [Window] = []
    var scoredUpTo = 0
    var start = 0
    while scoredUpTo < tokenCount {
      let end = min(start + context, tokenCount)
      // Overlapping windows score what is new; position 0 has nothing before it.
      var firstScored = max(scoredUpTo - start, 1)
      if scoring == .secondHalf { firstScored = max(firstScored, context / 2) }
      let window = Window(range: start..<end, firstScored: firstScored)
      if window.scoredCount > 0 { windows.append(window) }
      scoredUpTo = end
      start += step
    }
    self.tokenCount = tokenCount
    self.context = context
    self.stride = step
    self.scoring = scoring
    self.windows = windows
  }

  /// The scored positions of some windows, in order.
  package func places(in range: Range<Int>) -> [Place] {
    range.flatMap { number in
      let window = windows[number]
      return (window.firstScored..<window.range.count).map { position in
        Place(window: number, position: position, index: window.range.lowerBound + position)
      }
    }
  }

  /// Tokens that go through a model in some windows.
  package func tokenCount(in range: Range<Int>) -> Int {
    windows[range].reduce(0) { $0 + $1.range.count }
  }

  /// Tokens that are scored in all windows.
  package var scoredCount: Int { windows.reduce(0) { $0 + $1.scoredCount } }
}

// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// Windows of a text that stand for what a model will be used for.
///
/// The text is cut into windows that do not overlap; which of them count is drawn by a generator that is
/// written out here, so that a seed means the same windows everywhere.
package struct CalibrationSample: Sendable, Equatable {
  /// Tokens of all windows, one after the other.
  package private(set) var tokens: [Int]
  /// Tokens of a window; a text that is shorter is one window.
  package let context: Int
  /// The seed that chose the windows.
  package let seed: UInt64
  /// Windows that the text has.
  package let availableWindows: Int

  /// Windows and context unless something else is asked for.
  package static let defaultWindows = 128
  package static let defaultContext = 512

  /// Draws windows.
  ///
  /// - Parameters:
  ///   - text: Tokens of the whole text.
  ///   - windows: How many to draw; all of them if the text has fewer.
  ///   - context: Tokens of a window.
  ///   - seed: What the choice depends on.
  package init(_ text: [Int], windows: Int, context: Int, seed: UInt64) {
    self.context = min(context, text.count)
    self.seed = seed
    availableWindows = self.context > 0 ? text.count / self.context : 0
    var order = Array(0..<availableWindows)
    var generator = SplitMix64(seed: seed)
    let count = min(windows, order.count)
    // The first steps of a Fisher-Yates shuffle are a sample without repetition.
    for index in 0..<count {
      order.swapAt(index, index + generator.next(below: order.count - index))
    }
    let length = self.context
    tokens = order.prefix(count).sorted().flatMap { text[$0 * length..<($0 + 1) * length] }
  }

  /// A sample that was drawn before.
  ///
  /// - Returns: nil if the tokens are not whole windows, or more of them than the text had.
  package init?(tokens: [Int], context: Int, seed: UInt64, availableWindows: Int) {
    guard context > 0, !tokens.isEmpty, tokens.count % context == 0,
      tokens.count / context <= availableWindows
    else { return nil }
    self.tokens = tokens
    self.context = context
    self.seed = seed
    self.availableWindows = availableWindows
  }

  /// The same with some of the windows, spread over all of them.
  package func spread(_ windows: Int) -> CalibrationSample {
    let count = min(windows, windowCount)
    var part = self
    part.tokens = (0..<count).flatMap { index in
      let window = index * windowCount / count
      return tokens[window * context..<(window + 1) * context]
    }
    return part
  }

  /// Windows that were drawn.
  package var windowCount: Int { context > 0 ? tokens.count / context : 0 }
}

// SPDX-License-Identifier: Apache-2.0

import Calibration
package import JSON
import KilnFormat
import TensorCore

/// What the header of a model says about the text that it was calibrated by, to recognize that text.
///
/// Figures on that text say little: matrices were rounded for it.
package struct CalibrationTrace: Sendable, Equatable {
  private let textChecksum: UInt64
  private let windowCount: Int
  private let context: Int
  private let seed: UInt64
  private let tokensChecksum: UInt64

  /// Windows and context that a header may name; more would not be a sample of any text.
  private static let counts = 1...1 << 20

  /// Reads the calibration of a header, as `CalibrationText.json` gives it.
  ///
  /// - Returns: nil if there is none, or it says something else: a header may say anything.
  package init?(_ calibration: JSONValue) {
    func checksum(_ value: JSONValue?) -> UInt64? {
      if case .string(let text)? = value { Checksum.parse(text) } else { nil }
    }
    func count(_ value: JSONValue?) -> Int? {
      guard case .integer(let count)? = value, Self.counts.contains(count) else { return nil }
      return count
    }
    let sample = calibration["sample"]
    guard let textChecksum = checksum(calibration["text_checksum"]),
      let windowCount = count(sample?["windows"]), let context = count(sample?["context"]),
      let seed = checksum(sample?["seed"]), let tokensChecksum = checksum(sample?["checksum"])
    else { return nil }
    self.textChecksum = textChecksum
    self.windowCount = windowCount
    self.context = context
    self.seed = seed
    self.tokensChecksum = tokensChecksum
  }

  /// Whether a text is the one of the calibration, or has the tokens that were drawn from it: something at its end may
  /// be another, or it may go on where all of the other was used.
  ///
  /// - Parameters:
  ///   - text: The whole text.
  ///   - tokens: All of its tokens.
  /// - Returns: Whether it is.
  package func recognizes(text: [UInt8], tokens: [Int]) -> Bool {
    if Checksum.of(text) == textChecksum { return true }
    guard tokens.count >= context, tokens.count / context >= windowCount else { return false }
    let drawn = CalibrationSample(tokens, windows: windowCount, context: context, seed: seed)
    return [drawn.tokens, Array(tokens.prefix(windowCount * context))].contains {
      CalibrationText.checksum(of: $0) == tokensChecksum
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Evaluation

/// How a text is cut into windows.
struct WindowOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Tokens in a window.", valueName: "n"))
  var context = 512

  @Option(help: ArgumentHelp("Use only the first n tokens of the text.", valueName: "n"))
  var limitTokens: Int?

  @Option(
    help: ArgumentHelp(
      "Positions of a window that are scored: all, or second-half.",
      discussion: "second-half scores positions from context / 2 on."))
  var score = TokenWindows.Scoring.all

  @Option(
    help: ArgumentHelp(
      "Tokens between the starts of two windows; windows then overlap.",
      discussion: "Only tokens that are new in a window are scored. Default: the context.",
      valueName: "n"))
  var stride: Int?

  func validate() throws {
    guard (2...(1 << 24)).contains(context) else {
      throw ValidationError("--context must be from 2 to \(1 << 24), found \(context)")
    }
    if let limitTokens, limitTokens < 2 {
      throw ValidationError("--limit-tokens must be at least 2, found \(limitTokens)")
    }
    if let stride, !(1...context).contains(stride) {
      throw ValidationError("--stride must be from 1 to the context, found \(stride)")
    }
    if stride != nil, score == .secondHalf {
      throw ValidationError("--stride and --score second-half exclude each other")
    }
  }

  /// The windows of a text.
  ///
  /// - Parameters:
  ///   - tokenCount: Its length.
  ///   - text: Its name, for errors.
  /// - Returns: The windows, at least one.
  /// - Throws: `TextError.tooShort` if no token would be scored.
  func windows(tokenCount: Int, of text: String) throws -> TokenWindows {
    let windows = TokenWindows(
      tokenCount: tokenCount, context: context, stride: stride, scoring: score)
    guard windows.scoredCount > 0 else {
      throw TextError.tooShort(
        text, tokens: tokenCount, needed: score == .all ? 2 : context / 2 + 1)
    }
    return windows
  }
}

extension TokenWindows.Scoring: ExpressibleByArgument {}

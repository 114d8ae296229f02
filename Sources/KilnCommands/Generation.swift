// SPDX-License-Identifier: Apache-2.0

import KimiLinear
import TensorCore
import Tokenization

/// One continuation of a prompt, from its tokens to text.
struct Generation {
  let decoder: Decoder
  /// The model's checkpoint, to tell which weights are broken.
  let source: CheckedCheckpoint
  let tokenizer: Tokenizer
  /// Tokens after which the text ends; they are not part of it.
  let endTokens: Set<Int>
  let sampler: TokenSampler

  /// Why a text ended.
  enum Ending: String {
    case endToken = "end_token"
    case maximumCount = "max_tokens"
    case contextLimit = "context_limit"
  }

  struct Result {
    /// What was generated, an end token included.
    var tokens: [Int] = []
    var text = ""
    var ending = Ending.maximumCount
    let promptCount: Int
    let promptSeconds: Double
    var seconds = 0.0

    var promptRate: Double { Double(promptCount) / promptSeconds }
    /// Tokens a second; nil if there is only the first, which comes with the prompt.
    var rate: Double? { seconds > 0 && tokens.count > 1 ? Double(tokens.count - 1) / seconds : nil }
  }

  /// Generates.
  ///
  /// - Parameters:
  ///   - prompt: Ids, at least one.
  ///   - maximumCount: Tokens to generate at most.
  ///   - show: Called with each piece of text as it is there.
  /// - Returns: All of it.
  /// - Throws: `ModelError`, `TextError.notFiniteLogits`, or what `show` throws.
  func run(
    prompt: [Int], maximumCount: Int, show: (String) throws -> Void
  ) throws -> Result {
    let clock = ContinuousClock()
    let start = clock.now
    try decoder.run(prompt: prompt)
    let promptEnd = clock.now
    var result = Result(
      promptCount: prompt.count, promptSeconds: (promptEnd - start).inSeconds)
    var sampler = sampler
    var stream = TextStream()
    func emit(_ text: String) throws {
      guard !text.isEmpty else { return }
      result.text += text
      try show(text)
    }
    while result.tokens.count < maximumCount {
      guard let token = decoder.withLogits({ sampler.choose($0) }) else {
        throw TextError.notFiniteLogits(
          model: decoder.model.name, position: decoder.tokenCount - 1,
          cause: try NonFiniteCause(
            of: source, tokens: prompt + result.tokens, workers: decoder.options.workers))
      }
      result.tokens.append(token)
      if endTokens.contains(token) {
        result.ending = .endToken
        break
      }
      try emit(stream.append(bytes(of: token)))
      guard result.tokens.count < maximumCount else { break }
      guard decoder.tokenCount < decoder.options.contextLimit else {
        result.ending = .contextLimit
        break
      }
      try decoder.step(token)
    }
    try emit(stream.finish())
    result.seconds = (clock.now - promptEnd).inSeconds
    return result
  }

  /// The bytes of a token; a row of the vocabulary that the tokenizer does not have stands for none.
  private func bytes(of token: Int) throws -> [UInt8] {
    tokenizer.hasToken(token) ? try tokenizer.decode([token]) : []
  }
}

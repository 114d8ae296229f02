// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Chooses the next token from logits: the likeliest one, or one by chance.
package struct TokenSampler: Sendable {
  /// How tokens are chosen.
  package struct Options: Sendable, Equatable {
    /// Divides the logits; 0 always takes the likeliest token.
    package let temperature: Double
    /// Only so many of the likeliest tokens are chosen from; nil for all.
    package let topK: Int?
    /// Only the likeliest tokens that together have this probability are chosen from.
    package let topP: Double

    package init(temperature: Double = 0, topK: Int? = nil, topP: Double = 1) {
      self.temperature = temperature
      self.topK = topK
      self.topP = topP
    }
  }

  private let options: Options
  private var random: SplitMix64

  /// - Parameters:
  ///   - options: How tokens are chosen.
  ///   - seed: The same logits with the same seed give the same tokens.
  package init(_ options: Options, seed: UInt64) {
    self.options = options
    random = SplitMix64(seed: seed)
  }

  /// Chooses a token.
  ///
  /// - Parameter logits: One for each token.
  /// - Returns: Its id, the lowest of equal ones; nil if a logit is NaN or infinite.
  package mutating func choose(_ logits: Span<Float>) -> Int? {
    var best = 0
    for id in 0..<logits.count {
      guard logits[id].isFinite else { return nil }
      if logits[id] > logits[best] { best = id }
    }
    guard logits.count > 0, options.temperature > 0 else { return logits.count > 0 ? best : nil }
    // Uniform in 0..<1, whatever the candidates are, so that one token takes one random number.
    let chance = Double(random.next() >> 11) * 0x1p-53
    return draw(Self.candidates(logits, likeliest: logits[best], options), chance)
  }

  /// A token and its share of the probability, not yet brought to sum 1.
  private struct Candidate {
    let id: Int
    let weight: Double
  }

  /// The tokens that may be chosen, with exp((logit - largest) / temperature).
  private static func candidates(
    _ logits: Span<Float>, likeliest: Float, _ options: Options
  ) -> [Candidate] {
    var candidates: [Candidate] = []
    candidates.reserveCapacity(logits.count)
    for id in 0..<logits.count {
      let exponent = (Double(logits[id]) - Double(likeliest)) / options.temperature
      candidates.append(Candidate(id: id, weight: Double(exponential(Float(exponent)))))
    }
    guard options.topK != nil || options.topP < 1 else { return candidates }
    candidates.sort { ($1.weight, $0.id) < ($0.weight, $1.id) }
    if let topK = options.topK { candidates = Array(candidates.prefix(topK)) }
    guard options.topP < 1 else { return candidates }
    let wanted = candidates.reduce(0) { $0 + $1.weight } * options.topP
    var sum = 0.0
    let end = candidates.firstIndex { candidate in
      sum += candidate.weight
      return sum >= wanted
    }
    return Array(candidates.prefix((end ?? candidates.count - 1) + 1))
  }

  private func draw(_ candidates: [Candidate], _ chance: Double) -> Int? {
    let target = candidates.reduce(0) { $0 + $1.weight } * chance
    var sum = 0.0
    for candidate in candidates {
      sum += candidate.weight
      if sum > target { return candidate.id }
    }
    return candidates.last?.id
  }
}

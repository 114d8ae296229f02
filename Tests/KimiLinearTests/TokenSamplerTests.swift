// SPDX-License-Identifier: Apache-2.0

import KimiLinear
import TensorCore
import Testing

/// The choice of the next token.
@Suite struct TokenSamplerTests {
  private func counts(_ options: TokenSampler.Options, _ logits: [Float]) -> [Int] {
    var sampler = TokenSampler(options, seed: 3)
    var counts = [Int](repeating: 0, count: logits.count)
    for _ in 0..<20_000 {
      if let token = sampler.choose(logits.span) { counts[token] += 1 }
    }
    return counts
  }

  @Test func `without temperature the likeliest token is taken, the lowest of equal ones`() {
    var sampler = TokenSampler(TokenSampler.Options(), seed: 1)
    for (logits, expected) in [
      ([1, 5, 3, 5], 1), ([-7], 0), ([], nil), ([1, .nan, 2], nil), ([1, .infinity], nil),
      ([-.infinity, 1], nil),
    ] as [([Float], Int?)] {
      let chosen = sampler.choose(logits.span)
      #expect(chosen == expected)
    }
  }

  @Test func `tokens come as often as they are likely`() {
    // Probabilities of 1/2, 1/4, 1/8, 1/8.
    let logits: [Float] = [3, 2, 1, 1].map { $0 * 0.693_147_2 }
    for (token, share) in [0.5, 0.25, 0.125, 0.125].enumerated() {
      let count = counts(.init(temperature: 1), logits)[token]
      #expect(abs(Double(count) / 20_000 - share) < 0.015)
    }
    let cold = counts(.init(temperature: 0.5), logits)
    #expect(abs(Double(cold[0]) / 20_000 - 16.0 / 22) < 0.015)
    let two = counts(.init(temperature: 1, topK: 2), logits)
    #expect(two[2] == 0 && two[3] == 0 && abs(Double(two[0]) / 20_000 - 2.0 / 3) < 0.015)
    let most = counts(.init(temperature: 1, topP: 0.8), logits)
    #expect(most[3] == 0 && abs(Double(most[2]) / 20_000 - 1.0 / 7) < 0.015)
    #expect(counts(.init(temperature: 1, topP: 0.01), logits)[0] == 20_000)
    #expect(
      counts(.init(temperature: 1, topK: 100), logits)
        == counts(.init(temperature: 1, topK: 4), logits))
  }

  @Test func `the same seed gives the same tokens`() {
    let logits = [Float](repeating: 0, count: 1000)
    func tokens(_ seed: UInt64) -> [Int?] {
      var sampler = TokenSampler(TokenSampler.Options(temperature: 1), seed: seed)
      return (0..<20).map { _ in sampler.choose(logits.span) }
    }
    #expect(tokens(5) == tokens(5))
    #expect(tokens(5) != tokens(6))
  }
}

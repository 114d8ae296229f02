// SPDX-License-Identifier: Apache-2.0

import Evaluation
import Glibc
import TestSupport
import Testing

/// The divergence of two rows of logits against its definition.
@Suite struct DivergenceTests {
  /// ln p of every id, by the definition in extended precision.
  private func logProbabilities(_ logits: [Float]) -> [Float80] {
    let largest = Float80(logits.max() ?? 0)
    let sum = logits.reduce(0 as Float80) { $0 + exp(Float80($1) - largest) }
    return logits.map { Float80($0) - largest - log(sum) }
  }

  /// The sum of p ln(p / q), and ln of the sum of exp(logit) of both.
  private func expected(_ base: [Float], _ model: [Float]) -> Double {
    let (p, q) = (logProbabilities(base), logProbabilities(model))
    return Double(zip(p, q).reduce(0 as Float80) { $0 + exp($1.0) * ($1.0 - $1.1) })
  }

  private func row(_ base: [Float], _ model: [Float], block: Int) -> RowDivergence {
    var row = RowDivergence()
    for start in stride(from: 0, to: base.count, by: block) {
      let range = start..<min(start + block, base.count)
      row.add(
        BlockDivergence(base: base.span.extracting(range), model: model.span.extracting(range)),
        count: range.count)
    }
    return row
  }

  @Test(arguments: [1, 2, 7, 100, 2048, 5000], [1, 3, 2048] as [Int])
  func `it is the sum of p ln(p over q), however the vocabulary is cut`(count: Int, block: Int) {
    var generator = SeededGenerator(seed: UInt64(count))
    for distance in [1e-4, 0.01, 0.3, 3] as [Float] {
      let base = generator.floats(count, in: -12...12)
      // A common shift changes no probability.
      let model = base.map { $0 + 5 + Float.random(in: -distance...distance, using: &generator) }
      let row = row(base, model, block: block)
      let expected = expected(base, model)
      // Extended precision itself is only good for 1e-17 or so of the largest term.
      #expect(abs(row.divergence - expected) <= 1e-10 * expected + 1e-17, "\(distance)")
      #expect(row.divergence >= 0)
      let logSum = Double(base[0]) - Double(logProbabilities(base)[0])
      #expect(abs(row.baseLogSum - logSum) < 1e-13)
    }
  }

  @Test func `equal distributions do not diverge, not even by rounding`() {
    var generator = SeededGenerator(seed: 4)
    let logits = generator.floats(3000, in: -30...30)
    let row = row(logits, logits, block: 512)
    #expect(row.divergence == 0 && row.hasSameTop)
  }

  @Test func `a divergence of one part in a million million is still exact`() {
    // Two outcomes, q / p = exp(d) for the first: the series of the definition in d.
    let step: Float = 0x1p-20
    let found = row([0, 0], [step, 0], block: 2).divergence
    let d = Double(step)
    #expect(abs(found / (d * d / 8 - d * d * d * d / 192) - 1) < 1e-12)
  }

  @Test func `what is certain for one and impossible for the other stays finite`() {
    for (base, model) in [
      ([1e30, -1e30, 0], [-1e30, 1e30, 0]), ([800, 0, 0], [0, 800, 0]), ([3e38, 0, 0], [0, 0, 0]),
    ] as [([Float], [Float])] {
      for block in [1, 2, 3] {
        let row = row(base, model, block: block)
        #expect(row.divergence.isFinite && row.divergence >= 1)
      }
    }
  }

  @Test func `numbers that are none come out as none`() {
    #expect(row([0, .nan, 1], [0, 1, 2], block: 3).divergence.isNaN)
    #expect(!row([0, 1], [.infinity, 0], block: 1).divergence.isFinite)
  }

  @Test func `of equal logits the lowest id is the top`() {
    for block in [1, 2, 5, 6] {
      #expect(row([1, 4, 4, 0, 4, 2], [0, 9, 9, 9, 9, 0], block: block).hasSameTop)
      #expect(!row([1, 4, 4, 0, 4, 2], [9, 9, 9, 0, 9, 0], block: block).hasSameTop)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// Second moments, and the triangle that error feedback goes by.
@Suite struct InverseFactorTests {
  @Test(arguments: [1, 2, 17, 63, 64, 65, 130, 200])
  func `U^T U is the inverse`(size: Int) throws {
    var random = SeededGenerator(seed: UInt64(size))
    let inputs = (0..<2 * size).map { _ in
      (0..<size).map { _ in Double.random(in: -1...1, using: &random) }
    }
    var moments = [Double](repeating: 0, count: size * size)
    for input in inputs {
      for row in 0..<size {
        for column in 0..<size { moments[row * size + column] += input[row] * input[column] }
      }
    }
    let factor = try #require(inverseFactor(of: moments, dimension: size))
    for row in 0..<size {
      #expect(factor[row * size..<row * size + row].allSatisfy { $0 == 0 })
    }
    // H U^T U = 1, column by column of the product with U^T first.
    var worst = 0.0
    for row in 0..<size {
      let left = (0..<size).map { inner in
        (0..<size).reduce(0.0) { $0 + moments[row * size + $1] * factor[inner * size + $1] }
      }
      for column in 0..<size {
        let sum = (0..<size).reduce(0.0) { $0 + left[$1] * factor[$1 * size + column] }
        worst = max(worst, abs(sum - (row == column ? 1 : 0)))
      }
    }
    #expect(worst < 1e-8)
  }

  @Test func `a matrix that is not positive definite has none`() {
    #expect(inverseFactor(of: [1, 2, 2, 1], dimension: 2) == nil)
    #expect(inverseFactor(of: [0], dimension: 1) == nil)
    #expect(inverseFactor(of: [.nan], dimension: 1) == nil)
  }

  @Test(arguments: [1, 3, 1024, 1025, 2500])
  func `moments are the sums of the products`(tokens: Int) {
    let size = 5
    var random = SeededGenerator(seed: UInt64(tokens))
    func matrix() -> Matrix {
      Matrix(
        rows: tokens, columns: size,
        elements: (0..<tokens * size).map { _ in Float.random(in: -1...1, using: &random) })
    }
    let inputs = matrix()
    let weights = (0..<tokens).map { _ in Float.random(in: 0...2, using: &random) }
    var collected = SecondMoments(dimension: size)
    collected.add(inputs, weights: weights, workers: Workers(count: 2))
    let moments = collected.means()
    for row in 0..<size {
      for column in 0..<size {
        var sum = 0.0
        for token in 0..<tokens {
          let weight = Double(weights[token] * weights[token])
          sum += weight * Double(inputs[token, row] * inputs[token, column])
        }
        #expect(abs(moments[row * size + column] - sum / Double(tokens)) < 1e-5)
      }
    }
  }
  @Test func `inputs longer than what one thread sums, added in two parts without weights`() {
    let (size, tokens) = (300, 40)
    var random = SeededGenerator(seed: 7)
    let inputs = Matrix(
      rows: tokens, columns: size, elements: random.floats(tokens * size, in: -1...1))
    let collected = [1, 2, 5].map { threads in
      var moments = SecondMoments(dimension: size)
      for rows in [0..<25, 25..<40] {
        moments.add(
          inputs.block(rows: rows, columns: 0..<size), workers: Workers(count: threads))
      }
      return moments
    }
    #expect(collected.allSatisfy { $0.tokenCount == tokens })
    let means = collected[0].means()
    #expect(collected[1].means() == means && collected[2].means() == means)
    var worst = 0.0
    for row in 0..<size {
      for column in 0..<size {
        let sum = (0..<tokens).reduce(0.0) {
          $0 + Double(inputs[$1, row]) * Double(inputs[$1, column])
        }
        worst = max(worst, abs(means[row * size + column] - sum / Double(tokens)))
      }
    }
    #expect(worst < 1e-6)
  }

  @Test func `without tokens the moments are zeros`() {
    #expect(SecondMoments(dimension: 2).means() == [0, 0, 0, 0])
  }
}

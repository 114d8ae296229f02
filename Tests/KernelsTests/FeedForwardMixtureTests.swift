// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import TensorCore
import TestSupport
import Testing

/// Gated layers with tokens of their own against the definition in double precision.
@Suite struct FeedForwardMixtureTests {
  private struct Problem {
    let input: Matrix
    let residual: Matrix
    let members: [FeedForwardMember]
  }

  /// Members of different widths: the first has no tokens, the second all of them, the third of more than three
  /// none either, others have random ones.
  private func problem(
    tokens: Int, width d: Int, widths: [Int], seed: UInt64
  ) throws -> Problem {
    var generator = SeededGenerator(seed: seed)
    let members = try widths.enumerated().map { index, width in
      func matrix(_ rows: Int, _ columns: Int) throws -> EncodedTensor {
        try EncodedTensor.random(.plain(.bf16), rows: rows, columns: columns, using: &generator)
      }
      let weights = FeedForwardWeights(
        gate: try matrix(width, d), up: try matrix(width, d), down: try matrix(d, width))
      let isEmpty = index == 0 || index == 2 && widths.count > 3
      let chosen = (0..<tokens).filter { _ in
        !isEmpty && (index == 1 || Bool.random(using: &generator))
      }
      return FeedForwardMember(
        weights: weights, tokens: chosen, factors: generator.floats(chosen.count, in: 0...1))
    }
    return Problem(
      input: Matrix(
        rows: tokens, columns: d, elements: generator.floats(tokens * d, in: -0.5...0.5)),
      residual: Matrix(
        rows: tokens, columns: d, elements: generator.floats(tokens * d, in: -1...1)),
      members: members)
  }

  private func expected(_ problem: Problem) -> [Float] {
    let d = problem.input.columns
    var sums = problem.residual.elements.map { Double($0) }
    for member in problem.members {
      let width = member.weights.width
      let gate = widened(member.weights.gate).map { Double($0) }
      let up = widened(member.weights.up).map { Double($0) }
      let down = widened(member.weights.down).map { Double($0) }
      for (token, factor) in zip(member.tokens, member.factors) {
        let x = problem.input.row(token).map { Double($0) }
        func product(_ matrix: [Double], _ row: Int, _ x: [Double]) -> Double {
          x.indices.reduce(0) { $0 + matrix[row * x.count + $1] * x[$1] }
        }
        let hidden = (0..<width).map { row in
          let gated = product(gate, row, x)
          return gated / (1 + exp(-gated)) * product(up, row, x)
        }
        for column in 0..<d {
          sums[token * d + column] += Double(factor) * product(down, column, hidden)
        }
      }
    }
    return sums.map { Float($0) }
  }

  @Test(arguments: [
    (1, 16, [8, 8]), (40, 96, [24, 64, 100]), (13, 130, [16, 33, 16, 16]), (800, 32, [16, 16]),
    (30, 48, [600, 1100]), (385, 8, [8, 1100]),
  ])
  func `sums are those of the definition`(tokens: Int, d: Int, widths: [Int]) throws {
    let problem = try problem(tokens: tokens, width: d, widths: widths, seed: 7)
    let expected = expected(problem)
    for set in InstructionSet.available {
      var outputs: [Matrix] = []
      for threads in [1, 2, 5] {
        var output = problem.residual
        FeedForwardMixture.add(
          problem.input, through: problem.members, to: &output, workers: Workers(count: threads),
          on: set)
        outputs.append(output)
      }
      #expect(relativeError(outputs[0].elements, expected) < 1e-6, "\(set)")
      #expect(outputs[1] == outputs[0] && outputs[2] == outputs[0], "\(set)")
    }
  }

  @Test func `nothing is added where nothing is chosen`() throws {
    let problem = try problem(tokens: 9, width: 16, widths: [8], seed: 8)
    var output = problem.residual
    FeedForwardMixture.add(
      problem.input, through: problem.members, to: &output, workers: Workers(count: 2))
    #expect(output == problem.residual)
    FeedForwardMixture.add(problem.input, through: [], to: &output, workers: Workers(count: 2))
    #expect(output == problem.residual)
  }
  @Test func `the input of the last product, and a layer that all tokens go through`() throws {
    let problem = try problem(tokens: 70, width: 24, widths: [40], seed: 9)
    let weights = problem.members[0].weights
    let (gate, up) = (widened(weights.gate), widened(weights.up))
    let hidden = weights.hidden(problem.input, workers: Workers(count: 2))
    #expect(hidden.rows == 70 && hidden.columns == 40)
    let expected = (0..<70 * 40).map { index in
      let x = problem.input.row(index / 40)
      func product(_ matrix: [Float]) -> Double {
        x.indices.reduce(0) { $0 + Double(matrix[index % 40 * 24 + $1]) * Double(x[$1]) }
      }
      return Float(product(gate) / (1 + exp(-product(gate))) * product(up))
    }
    #expect(relativeError(hidden.elements, expected) < 1e-6)
    let all = weights.member(ofAll: 3)
    #expect(all.tokens == [0, 1, 2] && all.factors == [1, 1, 1])
  }
}

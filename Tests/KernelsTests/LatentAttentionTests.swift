// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import TensorCore
import TestSupport
import Testing

/// Latent attention against the definition in double precision.
@Suite struct LatentAttentionTests {
  /// Dimensions, and tokens before and in each sequence.
  struct Case: Sendable, CustomTestStringConvertible {
    let attention: LatentAttention
    let sequences: [(past: Int, count: Int)]
    var testDescription: String { "\(attention.heads) heads, \(sequences)" }
  }

  static let cases = [
    Case(
      attention: LatentAttention(
        heads: 2, rank: 24, nopeDimension: 16, ropeDimension: 8, valueDimension: 16),
      sequences: [(0, 16), (0, 41), (5, 30), (0, 1), (40, 3)]),
    Case(
      attention: LatentAttention(
        heads: 3, rank: 17, nopeDimension: 20, ropeDimension: 5, valueDimension: 23),
      sequences: [(0, 300), (250, 17), (511, 2)]),
    Case(
      attention: LatentAttention(
        heads: 1, rank: 8, nopeDimension: 8, ropeDimension: 0, valueDimension: 40),
      sequences: [(255, 70)]),
  ]

  @Test(arguments: cases)
  func `outputs are those of the definition`(problem: Case) throws {
    var generator = SeededGenerator()
    let attention = problem.attention
    let keyDimension = attention.nopeDimension + attention.ropeDimension
    let expanded = attention.nopeDimension + attention.valueDimension
    let projection = try EncodedTensor.random(
      .plain(.f32), rows: attention.heads * expanded, columns: attention.rank, using: &generator)
    var row = 0
    let sequences = problem.sequences.map { past, count in
      defer { row += count }
      let width = attention.rank + attention.ropeDimension
      return LatentAttention.Sequence(
        rows: row..<row + count,
        cache: Matrix(
          rows: past + count, columns: width,
          elements: generator.floats((past + count) * width, in: -2...2)))
    }
    let queries = Matrix(
      rows: row, columns: attention.heads * keyDimension,
      elements: generator.floats(row * attention.heads * keyDimension, in: -2...2))
    let outputs = [1, 2, 5].map { threads in
      attention.attend(
        queries: queries, upProjection: projection, sequences: sequences,
        workers: Workers(count: threads))
    }
    #expect(outputs[1] == outputs[0] && outputs[2] == outputs[0])
    let weights = widened(projection).map { Double($0) }
    for sequence in sequences {
      for (index, row) in sequence.rows.enumerated() {
        for head in 0..<attention.heads {
          let expected = output(
            queries.row(row)[head * keyDimension..<(head + 1) * keyDimension].map { Double($0) },
            sequence.cache,
            visible: sequence.cache.rows - sequence.rows.count + index + 1,
            Array(
              weights[
                head * expanded * attention.rank..<(head + 1) * expanded * attention.rank]),
            attention)
          let columns = head * attention.valueDimension..<(head + 1) * attention.valueDimension
          let error = relativeError(Array(outputs[0].row(row)[columns]), expected)
          #expect(error < 2e-5, "row \(row), head \(head)")
        }
      }
    }
  }

  /// One query of one head over the first `visible` tokens of a cache.
  private func output(
    _ query: [Double], _ cache: Matrix, visible: Int, _ projection: [Double],
    _ attention: LatentAttention
  ) -> [Float] {
    let (rank, nope) = (attention.rank, attention.nopeDimension)
    let tokens = (0..<visible).map { token in
      let row = cache.row(token).map { Double($0) }
      let expanded = (0..<nope + attention.valueDimension).map { line in
        (0..<rank).reduce(0) { $0 + projection[line * rank + $1] * row[$1] }
      }
      return (key: Array(expanded[..<nope]) + row[rank...], value: expanded[nope...])
    }
    let scores = tokens.map { token in
      zip(query, token.key).reduce(0) { $0 + $1.0 * $1.1 } / Double(query.count).squareRoot()
    }
    let largest = scores.max() ?? 0
    let weights = scores.map { exp($0 - largest) }
    let sum = weights.reduce(0, +)
    var result = [Double](repeating: 0, count: attention.valueDimension)
    for (weight, token) in zip(weights, tokens) {
      for (index, value) in token.value.enumerated() { result[index] += weight * value / sum }
    }
    return result.map { Float($0) }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels
import Quantization
import TensorCore
import TestSupport
import Testing

/// Rounding against second moments: it gives the bits of the readable form, and it is worth its time.
@Suite struct CalibratedRoundingTests {
  /// Weights, and moments of inputs with correlated columns.
  private struct Problem {
    let weights: Matrix
    let moments: SecondMoments
    let metric: RoundingMetric

    init(
      rows: Int, columns: Int, tokens: Int,
      seed: UInt64
    ) throws {
      var random = SeededGenerator(seed: seed)
      weights = Matrix(
        rows: rows, columns: columns,
        elements: (0..<rows * columns).map { _ in normalWeight(using: &random) })
      let inputs = Problem.inputs(tokens, columns, true, &random)
      var moments = SecondMoments(dimension: columns)
      moments.add(inputs, workers: Workers(count: 1))
      self.moments = moments
      metric = try RoundingMetric(moments)
    }

    static func inputs(
      _ tokens: Int, _ columns: Int, _ correlated: Bool, _ random: inout SeededGenerator
    ) -> Matrix {
      var inputs = Matrix(rows: tokens, columns: columns)
      for row in 0..<tokens {
        let common = normalWeight(using: &random, deviation: 1)
        for column in 0..<columns {
          inputs[row, column] =
            normalWeight(using: &random, deviation: 1) + (correlated ? common : 0)
        }
      }
      return inputs
    }

    /// tr (Q - W) H (Q - W)^T.
    func error(_ values: Matrix) -> Double {
      var error = 0.0
      for row in 0..<weights.rows {
        let difference = (0..<weights.columns).map { Double(values[row, $0] - weights[row, $0]) }
        for (i, left) in difference.enumerated() {
          for (j, right) in difference.enumerated() {
            error += left * right * Double(metric.moments[i, j])
          }
        }
      }
      return error
    }

    /// What rounding without moments gives.
    func plain(_ encoding: TensorEncoding, _ method: RoundingMethod) -> Matrix {
      Matrix(
        rows: weights.rows, columns: weights.columns,
        elements: QuantizedRows(
          weights.elements, columns: weights.columns, encoding, method
        ).dequantized)
    }
  }

  private static let shapes: [(rows: Int, columns: Int, bits: Int, group: QuantizationGroup)] = [
    (1, 32, 4, .size(32)), (16, 64, 4, .size(32)), (17, 128, 4, .size(64)), (5, 96, 8, .size(32)),
    (33, 128, 4, .size(128)), (3, 50, 4, .row), (19, 37, 8, .row), (18, 64, 5, .size(32)),
    (7, 96, 5, .row), (17, 128, 6, .size(64)), (2, 32, 6, .row),
  ]

  @Test(arguments: shapes.indices)
  func `kernels give the bits of the readable form`(index: Int) throws {
    let (rows, columns, bits, groupSize) = Self.shapes[index]
    let encoding = TensorEncoding.quantized(bits: bits, group: groupSize)
    let group = encoding.groupSize(columns: columns)
    let problem = try Problem(rows: rows, columns: columns, tokens: 40, seed: UInt64(index))
    let reference = ReferenceRounding(bits: bits, group: group)
    let passes = 3
    var expected: [Float] = []
    for row in 0..<rows {
      let weights = problem.weights.row(row)
      var rounded = reference.round(
        weights, factor: problem.metric.factor, importance: problem.metric.importance)
      var gradient = reference.gradient(rounded, of: weights, moments: problem.metric.moments)
      for _ in 0..<passes {
        reference.descend(&rounded, gradient: &gradient, moments: problem.metric.moments)
      }
      expected += rounded.codes.enumerated().map { $1 * rounded.scales[$0 / group] }
    }
    for set in InstructionSet.available {
      let result = CalibratedRounding(descentPasses: passes).round(
        problem.weights, as: encoding, metric: problem.metric, workers: Workers(count: 2), on: set)
      #expect(result.values.elements == expected, "\(set)")
      // What is stored is what was computed.
      #expect(
        dequantized(result, columns: columns, bits: bits, group: group) == expected, "\(set)")
    }
  }

  private func dequantized(
    _ result: CalibratedRounding.Result, columns: Int, bits: Int, group: Int
  ) -> [Float] {
    unpackedCodes(result.codes, bits: bits)
      .enumerated().map { Float($1) * result.scales[$0 / group].floatValue }
  }

  @Test(arguments: TensorEncoding.codeWidths, [32, 64])
  func `feedback is better than search, descent never worse than feedback alone`(
    bits: Int, group: Int
  ) throws {
    let encoding = TensorEncoding.quantized(bits: bits, group: .size(group))
    let problem = try Problem(rows: 24, columns: 128, tokens: 300, seed: 7)
    func error(passes: Int) -> Double {
      problem.error(
        CalibratedRounding(descentPasses: passes).round(
          problem.weights, as: encoding, metric: problem.metric, workers: Workers(count: 1)
        ).values)
    }
    let search = problem.error(problem.plain(encoding, .search))
    let nearest = problem.error(problem.plain(encoding, .roundToNearest))
    let (feedback, descent) = (error(passes: 0), error(passes: 4))
    #expect(search < nearest)
    #expect(feedback < 0.9 * search)
    #expect(descent < feedback * 1.0001)
  }

  @Test(arguments: shapes.indices)
  func `search by second moments gives the bits of the readable form`(index: Int) throws {
    let (rows, columns, bits, groupSize) = Self.shapes[index]
    let encoding = TensorEncoding.quantized(bits: bits, group: groupSize)
    let group = encoding.groupSize(columns: columns)
    let problem = try Problem(rows: rows, columns: columns, tokens: 40, seed: UInt64(index))
    let importance = problem.metric.secondMoments
    let reference = ReferenceRounding(bits: bits, group: group)
    let expected = (0..<rows).flatMap { row -> [Float] in
      let rounded = reference.search(problem.weights.row(row), importance: importance)
      return rounded.codes.enumerated().map { $1 * rounded.scales[$0 / group] }
    }
    for set in InstructionSet.available {
      let result = CalibratedRounding().search(
        problem.weights, as: encoding, importance: importance, workers: Workers(count: 2), on: set)
      #expect(result.values.elements == expected, "\(set)")
      #expect(
        dequantized(result, columns: columns, bits: bits, group: group) == expected, "\(set)")
    }
  }

  @Test func `search by second moments spares the columns that count`() throws {
    let problem = try Problem(rows: 24, columns: 128, tokens: 40, seed: 5)
    let encoding = TensorEncoding.quantized(bits: 4, group: .size(32))
    // Every fourth column counts a hundred times as much as the others.
    let importance = (0..<128).map { Float($0 % 4 == 0 ? 100 : 1) }
    func error(_ values: Matrix) -> Double {
      zip(values.elements.indices, values.elements).reduce(0.0) { sum, element in
        let difference = Double(element.1 - problem.weights.elements[element.0])
        return sum + Double(importance[element.0 % 128]) * difference * difference
      }
    }
    let weighted = CalibratedRounding().search(
      problem.weights, as: encoding, importance: importance, workers: Workers(count: 1))
    #expect(error(weighted.values) < 0.8 * error(problem.plain(encoding, .search)))
  }

  @Test func `the number of threads changes nothing`() throws {
    let problem = try Problem(rows: 70, columns: 64, tokens: 100, seed: 3)
    let encoding = TensorEncoding.quantized(bits: 4, group: .size(32))
    let results = [1, 2, 5].map { threads in
      CalibratedRounding().round(
        problem.weights, as: encoding, metric: problem.metric, workers: Workers(count: threads))
    }
    #expect(results.allSatisfy { $0.codes == results[0].codes && $0.scales == results[0].scales })
  }

  @Test func `few tokens still give a metric, none do not`() throws {
    var moments = SecondMoments(dimension: 64)
    #expect(throws: RoundingMetric.Problem.noTokens) { try RoundingMetric(moments) }
    var random = SeededGenerator(seed: 2)
    moments.add(Problem.inputs(3, 64, false, &random), workers: Workers(count: 1))
    let metric = try RoundingMetric(moments)
    #expect(metric.importance.allSatisfy { $0.isFinite && $0 > 0 })
    #expect(metric.moments.elements.allSatisfy { $0.isFinite })
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels
import Quantization
import TensorCore
import Testing

/// Metrics that were computed by hand.
@Suite struct RoundingMetricTests {
  private func moments(_ rows: [[Float]], times: Int = 1) -> SecondMoments {
    let columns = rows[0].count
    var moments = SecondMoments(dimension: columns)
    let elements = (0..<times).flatMap { _ in rows.flatMap(\.self) }
    moments.add(
      Matrix(rows: rows.count * times, columns: columns, elements: elements),
      workers: Workers(count: 1))
    return moments
  }

  private func expectClose(
    _ found: [Float], _ expected: [Double], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(found.count == expected.count, sourceLocation: sourceLocation)
    for (found, expected) in zip(found, expected) {
      #expect(abs(Double(found) - expected) < 1e-6, sourceLocation: sourceLocation)
    }
  }

  @Test func `moments are divided by the mean of their diagonal and damped`() throws {
    // Means of 1, 1 and 2; their diagonal has the mean 1.5.
    let metric = try RoundingMetric(moments([[1, 0], [1, 2]]))
    let (first, second, both) = (1 / 1.5 + 0.01, 2 / 1.5 + 0.01, 1 / 1.5)
    expectClose(metric.moments.elements, [first, both, both, second])
    expectClose(metric.secondMoments, [first, second])
    #expect(metric.dimension == 2 && metric.tokenCount == 2 && metric.damping == 0.01)
    // The second column makes up for errors of the first, nothing for those of the second.
    expectClose(metric.importance, [first - both * both / second, second])
    // U^T U is the inverse, and U has nothing below its diagonal.
    let determinant = first * second - both * both
    let factor = metric.factor.elements.map { Double($0) }
    #expect(factor[2] == 0)
    expectClose(
      [
        factor[0] * factor[0], factor[0] * factor[1], factor[1] * factor[1] + factor[3] * factor[3],
      ].map { Float($0) }, [second / determinant, -both / determinant, first / determinant])
  }

  @Test(arguments: [(32, 64, [0.7, 1.3]), (96, 64, [0.55, 1.45]), (96, 0, [0.4, 1.6])])
  func `a prior counts for its tokens, whatever its size`(
    pairs: Int, priorTokens: Int, expected: [Double]
  ) throws {
    // Own moments 1 and 4, the prior's 9 and 9, which are made 2.5 and 2.5: with a share of a half 1.75 and 3.25, of a
    // quarter 1.375 and 3.625, over their mean of 2.5.
    let own = moments([[1, 2], [1, -2]], times: pairs)
    let prior = moments([[3, 3], [3, -3]], times: 5)
    let metric = try RoundingMetric(own, prior: prior, priorTokens: priorTokens)
    expectClose(metric.moments.elements, [expected[0] + 0.01, 0, 0, expected[1] + 0.01])
    #expect(metric.tokenCount == 2 * pairs)
  }

  @Test func `what was asked for first is the damping, if that is enough`() throws {
    for damping in [0.001, 0.1] {
      let metric = try RoundingMetric(moments([[1, 1]]), firstDamping: damping)
      #expect(metric.damping == damping)
      expectClose(metric.moments.elements, [1 + damping, 1, 1, 1 + damping])
    }
  }

  @Test func `no tokens, or inputs of 0, tell nothing`() {
    #expect(throws: RoundingMetric.Problem.noTokens) {
      try RoundingMetric(SecondMoments(dimension: 2))
    }
    #expect(throws: RoundingMetric.Problem.zeroInputs) {
      try RoundingMetric(moments([[0, 0]]))
    }
    #expect(throws: RoundingMetric.Problem.zeroInputs) {
      try RoundingMetric(moments([[1, 1]]), prior: moments([[0, 0]]), priorTokens: 1)
    }
  }
}

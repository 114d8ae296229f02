// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import TestSupport
import Testing

struct ReductionTests {
  /// The documented order of sums, written down once more.
  private func sumInLanes(_ terms: [Float]) -> Float {
    var lanes = [Float](repeating: 0, count: 64)
    let whole = terms.count / 64 * 64
    for (index, term) in terms.enumerated() {
      lanes[index < whole ? index % 64 : index % 16] += term
    }
    var total = [Float](repeating: 0, count: 16)
    for lane in 0..<16 {
      let (first, second) = (lanes[lane] + lanes[lane + 16], lanes[lane + 32] + lanes[lane + 48])
      total[lane] = first + second
    }
    for width in [8, 4, 2, 1] {
      for index in 0..<width { total[index] += total[index + width] }
    }
    return total[0]
  }

  @Test(arguments: [0, 1, 5, 16, 17, 64, 70, 128, 200, 1001])
  func sumsHaveTheDocumentedOrder(count: Int) {
    var generator = SeededGenerator()
    let (left, right) = (generator.floats(count, in: -3...3), generator.floats(count, in: -3...3))
    #expect(dot(left.span, right.span) == sumInLanes(zip(left, right).map { $0 * $1 }))
    #expect(sum(left.span) == sumInLanes(left))
    #expect(sumOfSquares(left.span) == sumInLanes(left.map { $0 * $0 }))
  }

  @Test(arguments: [1, 2, 15, 16, 17, 63, 64, 65, 100, 128, 200])
  func maximumIsFoundAtEveryPlace(count: Int) {
    for place in 0..<count {
      var numbers = [Float](repeating: -7, count: count)
      numbers[place] = -3
      #expect(maximumElement(numbers.span) == -3)
      // NaN is passed over, wherever it is.
      numbers[place] = .nan
      #expect(maximumElement(numbers.span) == (count == 1 ? -.infinity : -7))
    }
    #expect(maximumElement([Float]().span) == -.infinity)
  }

  @Test(arguments: [1, 15, 16, 17, 255, 256, 257, 5000])
  func logSumExpAgreesWithDoublePrecision(count: Int) {
    var generator = SeededGenerator()
    let numbers = generator.floats(count, in: 990...1000)
    let expected = 1000 + log(numbers.reduce(0) { $0 + exp(Double($1) - 1000) })
    #expect(abs(logSumExp(numbers.span) - expected) < 1e-7)
    let shifted = numbers.map { $0 - 1000 }
    let sum = sumOfExponentials(shifted.span, minus: 0)
    var powers = shifted
    var span = powers.mutableSpan
    #expect(exponentiate(&span, subtracting: 0) == Float(sum))
    var expectedPowers = shifted
    span = expectedPowers.mutableSpan
    exponential(&span)
    #expect(powers == expectedPowers)
  }

  @Test func logSumExpOfExtremes() {
    #expect(logSumExp([Float]().span) == -.infinity)
    #expect(logSumExp([-.infinity, -.infinity].span) == -.infinity)
    #expect(logSumExp([-.infinity, 2].span) == 2)
    #expect(logSumExp([.infinity, 2].span) == .infinity)
    #expect(logSumExp([.nan, 2].span).isNaN)
  }

  @Test func arithmeticIsRoundedStepByStep() {
    var generator = SeededGenerator()
    let (start, x) = (generator.floats(37, in: -3...3), generator.floats(37, in: -3...3))
    var y = start
    var span = y.mutableSpan
    add(x.span, times: 0.3, to: &span)
    #expect(y == zip(start, x).map { $0 + 0.3 * $1 })
    span = y.mutableSpan
    add(x.span, to: &span)
    multiply(&span, by: x.span)
    scale(&span, by: 3)
    #expect(y == zip(start, x).map { ((($0 + 0.3 * $1) + $1) * $1) * 3 })
  }
}

// SPDX-License-Identifier: Apache-2.0

import Evaluation
import Glibc
import TestSupport
import Testing

@Suite struct ComparisonFiguresTests {
  private static func token(
    _ probability: Double = 0.5, base: Double = 0.5, divergence: Double = 0, sameTop: Bool = true,
    window: Int = 0, position: Int = 1
  ) -> ComparedToken {
    ComparedToken(
      scored: ScoredToken(
        window: window, position: position, token: 5, logProbability: log(probability)),
      baseLogProbability: log(base), divergence: divergence, hasSameTop: sameTop)
  }

  @Test func `means, standard errors and changes follow their formulas`() {
    let figures = ComparisonFigures([
      Self.token(0.5, base: 0.25, divergence: 0.1, sameTop: true),
      Self.token(0.1, base: 0.4, divergence: 0.4, sameTop: false),
      Self.token(0.2, base: 0.2, divergence: 0.1, sameTop: true),
      Self.token(0.3, base: 0.1, divergence: 0.2, sameTop: true),
    ])
    func isClose(_ found: Double, _ expected: Double) -> Bool { abs(found - expected) < 1e-14 }
    #expect(figures.tokenCount == 4)
    #expect(isClose(figures.divergence.value, 0.2))
    // Deviations -0.1, 0.2, -0.1, 0: 0.06 / 3 / 4.
    #expect(isClose(figures.divergence.standardError, (0.06 / 12).squareRoot()))
    #expect(isClose(figures.largestDivergence, 0.4))
    #expect(isClose(figures.sameTop.value, 0.75))
    #expect(isClose(figures.sameTop.standardError, (0.75 * 0.25 / 3).squareRoot()))
    let ratios: [Double] = [log(0.5), log(4.0), 0, log(1.0 / 3)]
    let mean = ratios.reduce(0, +) / 4
    var squares = 0.0
    for ratio in ratios { squares += (ratio - mean) * (ratio - mean) }
    #expect(isClose(figures.logPerplexityRatio.value, mean))
    #expect(isClose(figures.logPerplexityRatio.standardError, (squares / 12).squareRoot()))
    // Changes 0.25, -0.3, 0, 0.2.
    #expect(isClose(figures.probabilityChange.value, 0.0375))
    #expect(isClose(figures.rootMeanSquareChange, (0.1925 / 4).squareRoot()))
    #expect(
      isClose(
        figures.meanNegativeLogLikelihood.value - figures.baseMeanNegativeLogLikelihood.value,
        mean))
  }

  @Test func `percentiles are linear between sorted values`() {
    // 0, 1, …, 1000 in some order: the percentile is ten times the percent.
    let tokens = (0...1000).map { Self.token(divergence: Double($0 * 5 % 1001)) }
    let figures = ComparisonFigures(tokens)
    for (percent, found) in zip(ComparisonFigures.percents, figures.divergencePercentiles) {
      #expect(abs(found - percent * 10) < 1e-9)
    }
    let two = ComparisonFigures([Self.token(divergence: 3), Self.token(divergence: 1)])
    let expected = [2, 2.8, 2.9, 2.98, 2.998]
    #expect(zip(two.divergencePercentiles, expected).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test func `one token has figures but no standard errors`() {
    let figures = ComparisonFigures([Self.token(divergence: 0.5)])
    #expect(figures.divergence.value == 0.5 && figures.largestDivergence == 0.5)
    #expect(figures.divergencePercentiles.allSatisfy { $0 == 0.5 })
    #expect(figures.divergence.standardError.isNaN && figures.sameTop.standardError.isNaN)
  }

  @Test(
    arguments: [
      (512, nil, TokenWindows.Scoring.all, 2000, [0, 64, 128, 192, 256, 320, 384, 448, 512]),
      (512, nil, .secondHalf, 2000, [256, 288, 320, 352, 384, 416, 448, 480, 512]),
      (512, 100, .all, 2000, [0, 64, 128, 192, 256, 320, 384, 448, 512]),
      (9, nil, .all, 20, [0, 1, 2, 3, 4, 5, 6, 7, 9]), (4, nil, .all, 20, [0, 1, 2, 3, 4]),
      // A text that is shorter than a window.
      (512, nil, .all, 80, [0, 10, 20, 30, 40, 50, 60, 70, 80]),
      (512, nil, .secondHalf, 259, [256, 257, 258, 259]),
    ] as [(Int, Int?, TokenWindows.Scoring, Int, [Int])])
  func `every position is in one of eight buckets of equal length`(
    context: Int, stride: Int?, scoring: TokenWindows.Scoring, tokens: Int, borders: [Int]
  ) {
    let windows = TokenWindows(
      tokenCount: tokens, context: context, stride: stride, scoring: scoring)
    var summary = ComparisonSummary(windows: windows)
    for place in windows.places(in: windows.windows.indices) {
      summary.add(
        Self.token(
          divergence: Double(place.position), window: place.window, position: place.position))
    }
    let buckets = summary.buckets
    // Position 0 is never scored, so a bucket of it alone is not there.
    let expected = zip(borders, borders.dropFirst()).map { $0..<$1 }.filter { $0 != 0..<1 }
    #expect(buckets.map(\.positions) == expected)
    #expect(buckets.reduce(0) { $0 + $1.figures.tokenCount } == windows.scoredCount)
    for bucket in buckets {
      let last = Double(bucket.positions.upperBound - 1)
      #expect(bucket.figures.largestDivergence == last)
      #expect(bucket.figures.divergence.value <= last)
    }
    #expect(summary.figures.tokenCount == windows.scoredCount)
    #expect(summary.model.tokensScored == windows.scoredCount)
  }
}

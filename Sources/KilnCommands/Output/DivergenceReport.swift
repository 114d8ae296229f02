// SPDX-License-Identifier: Apache-2.0

import Evaluation
import Glibc
import JSON
import Reports
import TensorCore

/// How far a model is from its base, in all and by position in the window, as text and as JSON.
struct DivergenceReport {
  private let base: String
  private let all: ComparisonFigures
  private let buckets: [ComparisonSummary.Bucket]

  init(_ summary: ComparisonSummary, base: String) {
    self.base = base
    all = summary.figures
    buckets = summary.buckets
  }

  private static func plusMinus(
    _ mean: ComparisonFigures.Mean, decimals: Int, factor: Double = 1
  ) -> String {
    "\((mean.value * factor).decimalText(decimals: decimals)) ±"
      + " \((mean.standardError * factor).decimalText(decimals: decimals))"
  }

  // MARK: - Text

  var text: String {
    var table = Table([("", .left), ("", .left)])
    table.add(["against", base])
    let perplexity = exp(all.baseMeanNegativeLogLikelihood.value)
    table.add([
      "base perplexity",
      "\(perplexity.decimalText(decimals: 5)) ±"
        + " \((perplexity * all.baseMeanNegativeLogLikelihood.standardError).decimalText(decimals: 5))",
    ])
    table.add([
      "ln perplexity ratio", Self.plusMinus(all.logPerplexityRatio, decimals: 7),
    ])
    table.add(["KL divergence", "\(Self.plusMinus(all.divergence, decimals: 7)) nats"])
    let percentiles = zip(ComparisonFigures.percents, all.divergencePercentiles).map {
      "\(Self.percentName($0)) % \(Quantities.significant($1))"
    }
    table.add([
      "KL percentiles",
      (percentiles + ["maximum \(Quantities.significant(all.largestDivergence))"])
        .joined(separator: ", "),
    ])
    table.add(["same top token", "\(Self.plusMinus(all.sameTop, decimals: 3, factor: 100)) %"])
    table.add([
      "change of p(token)",
      "RMS \((all.rootMeanSquareChange * 100).decimalText(decimals: 4)) %, mean"
        + " \(Self.plusMinus(all.probabilityChange, decimals: 4, factor: 100)) %",
    ])
    return table.text.drop { $0 == "\n" } + "\n\n" + byPosition
  }

  private var byPosition: String {
    var table = Table([
      ("positions", .left), ("tokens", .right), ("KL mean", .right), ("±", .right),
      ("50 %", .right), ("99 %", .right), ("maximum", .right), ("same top", .right),
      ("ln ppl ratio", .right), ("±", .right), ("RMS change of p", .right),
    ])
    for bucket in buckets {
      let figures = bucket.figures
      let percentile = Dictionary(
        uniqueKeysWithValues: zip(ComparisonFigures.percents, figures.divergencePercentiles))
      table.add([
        "\(bucket.positions.lowerBound)–\(bucket.positions.upperBound - 1)",
        Quantities.grouped(figures.tokenCount),
        figures.divergence.value.decimalText(decimals: 6),
        figures.divergence.standardError.decimalText(decimals: 6),
        Quantities.significant(percentile[50] ?? .nan),
        Quantities.significant(percentile[99] ?? .nan),
        Quantities.significant(figures.largestDivergence),
        Quantities.percent(figures.sameTop.value),
        figures.logPerplexityRatio.value.decimalText(decimals: 5),
        figures.logPerplexityRatio.standardError.decimalText(decimals: 5),
        Quantities.percent(figures.rootMeanSquareChange),
      ])
    }
    return table.text
  }

  private static func percentName(_ percent: Double) -> String {
    percent.decimalText(decimals: percent == percent.rounded() ? 0 : 1)
  }

  // MARK: - JSON

  /// Members that a comparison adds to the document.
  var json: [JSONMember] {
    [
      JSONMember(key: "against", value: .string(base)),
      JSONMember(key: "comparison", value: .object(Self.json(all))),
      JSONMember(
        key: "comparison_by_position",
        value: .array(
          buckets.map { bucket in
            .object(
              [
                JSONMember(
                  key: "first_position", value: .integer(bucket.positions.lowerBound)),
                JSONMember(
                  key: "last_position", value: .integer(bucket.positions.upperBound - 1)),
              ] + Self.json(bucket.figures))
          })),
    ]
  }

  private static func json(_ figures: ComparisonFigures) -> [JSONMember] {
    let percentiles = zip(ComparisonFigures.percents, figures.divergencePercentiles).map {
      percent, value in
      JSONMember(
        key: ExactString("kl_p" + percentName(percent).replacing(".", with: "_")),
        value: .number(value))
    }
    func members(_ name: String, _ mean: ComparisonFigures.Mean) -> [JSONMember] {
      [
        JSONMember(key: ExactString(name), value: .number(mean.value)),
        JSONMember(key: ExactString(name + "_standard_error"), value: .number(mean.standardError)),
      ]
    }
    return [JSONMember(key: "tokens_scored", value: .integer(figures.tokenCount))]
      + members("kl_mean", figures.divergence) + percentiles
      + [JSONMember(key: "kl_max", value: .number(figures.largestDivergence))]
      + members("same_top", figures.sameTop)
      + members("ln_perplexity_ratio", figures.logPerplexityRatio)
      + members("probability_change_mean", figures.probabilityChange)
      + [
        JSONMember(
          key: "probability_change_rms", value: .number(figures.rootMeanSquareChange)),
        JSONMember(
          key: "base_perplexity",
          value: .number(exp(figures.baseMeanNegativeLogLikelihood.value))),
      ]
      + members("base_mean_nll", figures.baseMeanNegativeLogLikelihood)
      + members("mean_nll", figures.meanNegativeLogLikelihood)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Evaluation
import Glibc
import JSON
import Reports
import TensorCore

/// How far a model is from its base, in all and by position in the window.
struct DivergenceReport {
  private let base: String
  private let all: ComparisonFigures
  private let buckets: [ComparisonSummary.Bucket]

  init(_ summary: ComparisonSummary, base: String) {
    self.base = base
    all = summary.figures
    buckets = summary.buckets
  }

  /// What a comparison adds to the report of a perplexity.
  var blocks: [Report.Block] {
    [
      .fields([JSONMember(key: "against", value: .string(base))]),
      .facts(facts, key: "comparison"),
      .table(byPosition),
    ]
  }

  // MARK: - In all

  private var facts: [Fact] {
    [
      Fact("against", base), basePerplexity,
      fact(
        "ln perplexity ratio", "ln_perplexity_ratio", all.logPerplexityRatio,
        Self.plusMinus(all.logPerplexityRatio, decimals: 7)),
      fact(
        "KL divergence", "kl_mean", all.divergence,
        "\(Self.plusMinus(all.divergence, decimals: 7)) nats"),
      percentiles,
      fact(
        "same top token", "same_top", all.sameTop,
        "\(Self.plusMinus(all.sameTop, decimals: 3, factor: 100)) %"),
      Fact(
        "change of p(token)",
        "RMS \((all.rootMeanSquareChange * 100).decimalText(decimals: 4)) %, mean"
          + " \(Self.plusMinus(all.probabilityChange, decimals: 4, factor: 100)) %",
        [
          "probability_change_mean": .number(all.probabilityChange.value),
          "probability_change_mean_standard_error": .number(all.probabilityChange.standardError),
          "probability_change_rms": .number(all.rootMeanSquareChange),
        ]),
    ]
  }

  private var basePerplexity: Fact {
    let mean = all.baseMeanNegativeLogLikelihood
    let perplexity = exp(mean.value)
    return Fact(
      "base perplexity",
      "\(perplexity.decimalText(decimals: 5)) ±"
        + " \((perplexity * mean.standardError).decimalText(decimals: 5))",
      [
        "tokens_scored": .integer(all.tokenCount),
        "base_perplexity": .number(perplexity),
        "base_mean_nll": .number(mean.value),
        "base_mean_nll_standard_error": .number(mean.standardError),
        "mean_nll": .number(all.meanNegativeLogLikelihood.value),
        "mean_nll_standard_error": .number(all.meanNegativeLogLikelihood.standardError),
      ])
  }

  private var percentiles: Fact {
    let values = zip(ComparisonFigures.percents, all.divergencePercentiles)
    let words =
      values.map { "\(Self.percentName($0)) % \(Quantities.significant($1))" }
      + ["maximum \(Quantities.significant(all.largestDivergence))"]
    return Fact(
      "KL percentiles", words.joined(separator: ", "),
      members: values.map { percent, value in
        JSONMember(key: ExactString(Self.percentileKey(percent)), value: .number(value))
      } + [JSONMember(key: "kl_max", value: .number(all.largestDivergence))])
  }

  /// A mean and its standard error.
  private func fact(_ label: String, _ key: String, _ mean: SampleMean, _ text: String) -> Fact {
    Fact(
      label, text,
      members: [
        JSONMember(key: ExactString(key), value: .number(mean.value)),
        JSONMember(
          key: ExactString(key + "_standard_error"), value: .number(mean.standardError)),
      ])
  }

  private static func plusMinus(
    _ mean: SampleMean, decimals: Int, factor: Double = 1
  ) -> String {
    "\((mean.value * factor).decimalText(decimals: decimals)) ±"
      + " \((mean.standardError * factor).decimalText(decimals: decimals))"
  }

  // MARK: - By position

  private typealias PositionColumn = TableColumn<ComparisonSummary.Bucket>

  private var byPosition: ReportTable {
    ReportTable(
      "comparison_by_position", rows: buckets,
      columns: [
        .text("positions", "positions", for: .people) {
          .text("\($0.positions.lowerBound)–\($0.positions.upperBound - 1)")
        },
        .data("first_position") { .count($0.positions.lowerBound) },
        .data("last_position") { .count($0.positions.upperBound - 1) },
        .number("tokens_scored", "tokens", importance: 6) { .count($0.figures.tokenCount) },
        .number("kl_mean", "KL mean", marksLargest: true) {
          .number($0.figures.divergence.value, .fixed(decimals: 6))
        },
        .number("kl_mean_standard_error", "KL ±", importance: 2) {
          .number($0.figures.divergence.standardError, .fixed(decimals: 6))
        },
      ] + percentileColumns + otherColumns)
  }

  private var percentileColumns: [PositionColumn] {
    ComparisonFigures.percents.enumerated().map { index, percent in
      let key = Self.percentileKey(percent)
      let cell: (ComparisonSummary.Bucket) -> Cell = {
        .number($0.figures.divergencePercentiles[index])
      }
      return [50, 99].contains(percent)
        ? .number(
          key, "KL \(Self.percentName(percent)) %", importance: percent == 50 ? 5 : 3, cell)
        : .data(key, cell)
    }
  }

  private var otherColumns: [PositionColumn] {
    [
      .number("kl_max", "KL maximum", importance: 4, marksLargest: true) {
        .number($0.figures.largestDivergence)
      },
      .number("same_top", "same top", importance: 1) { .share($0.figures.sameTop.value) },
      .data("same_top_standard_error") { .number($0.figures.sameTop.standardError) },
      .number("ln_perplexity_ratio", "ln ppl ratio", importance: 1) {
        .number($0.figures.logPerplexityRatio.value, .fixed(decimals: 5))
      },
      .number("ln_perplexity_ratio_standard_error", "ratio ±", importance: 7) {
        .number($0.figures.logPerplexityRatio.standardError, .fixed(decimals: 5))
      },
      .data("probability_change_mean") { .number($0.figures.probabilityChange.value) },
      .data("probability_change_mean_standard_error") {
        .number($0.figures.probabilityChange.standardError)
      },
      .number("probability_change_rms", "RMS change of p", importance: 8) {
        .share($0.figures.rootMeanSquareChange)
      },
      .data("base_perplexity") {
        .number(exp($0.figures.baseMeanNegativeLogLikelihood.value))
      },
      .data("base_mean_nll") { .number($0.figures.baseMeanNegativeLogLikelihood.value) },
      .data("base_mean_nll_standard_error") {
        .number($0.figures.baseMeanNegativeLogLikelihood.standardError)
      },
      .data("mean_nll") { .number($0.figures.meanNegativeLogLikelihood.value) },
      .data("mean_nll_standard_error") {
        .number($0.figures.meanNegativeLogLikelihood.standardError)
      },
    ]
  }

  private static func percentName(_ percent: Double) -> String {
    percent.decimalText(decimals: percent == percent.rounded() ? 0 : 1)
  }

  private static func percentileKey(_ percent: Double) -> String {
    "kl_p" + percentName(percent).replacing(".", with: "_")
  }
}

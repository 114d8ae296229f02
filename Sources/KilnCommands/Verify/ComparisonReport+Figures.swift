// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import Reports
import SystemPackage
import TensorCore

extension ComparisonReport {
  /// The verdict and all that is not about a single tensor, for programs.
  var figures: [JSONMember] {
    let rounded: JSONValue =
      switch comparison.rounded {
      case nil: .null
      case .left?: "path"
      case _?: "against"
      }
    return [JSONMember]([
      "path": .string(left.string),
      "against": .string(right.string),
      "verdict": .string(comparison.verdict.rawValue),
      "required": .string(required.rawValue),
      "met": .bool(isMet),
      "rounded": rounded,
      "rounded_to": .array(comparison.roundedEncodings.map { .string($0) }),
      "counts": .object(
        TensorComparison.Verdict.allCases.map {
          JSONMember(key: ExactString($0.rawValue), value: .integer(tensors($0).count))
        }),
      "compared": .array(
        [
          ("tensors", true), ("configuration", comparison.comparesConfiguration),
          ("tokenizer", comparison.comparesTokenizer),
        ].filter(\.1).map { .string($0.0) }),
      "findings": FindingList.json(comparison.fileFindings),
      "notes": FindingList.json(comparison.fileNotes),
    ])
  }

  /// The tensors of each verdict that occurs.
  var verdictTable: ReportTable {
    let rows = TensorComparison.Verdict.allCases.map { VerdictRow($0, tensors($0)) }
    let columns: [TableColumn<VerdictRow>] = [
      .text("verdict", "verdict") { $0.name },
      .number("tensors", "tensors") { .count($0.tensorCount) },
      .number("parameters", "parameters", importance: 2) { .count($0.parameterCount) },
      .number("max_error", "largest error", importance: 1) { .number($0.largestError) },
      .number("bound_ratio", "of bound", importance: 1) {
        .number($0.boundRatio, .fixed(decimals: 4))
      },
      .text("worst", "worst tensor", importance: 3) { .text($0.worst?.name.text) },
    ]
    return ReportTable(
      "verdicts", for: .people, rows: rows.filter { $0.tensorCount > 0 }, columns: columns)
  }

  /// One row a tensor, for programs.
  var tensorTable: ReportTable {
    func position(_ tensor: TensorComparison, _ element: Int?) -> Cell {
      let place = element.map { tensor.position(of: $0) }
      return place.map { .structured(.array($0.map { .integer($0) }), text: "\($0)") } ?? .missing
    }
    func shape(_ side: TensorComparison.Side?) -> Cell {
      side.map {
        .structured(
          .array($0.shape.dimensions.map { .integer($0) }), text: $0.shape.description)
      } ?? .missing
    }
    return ReportTable(
      "tensors", for: .programs, rows: comparison.tensors,
      columns: [
        .data("name") { .text($0.name.text) },
        .data("role") { .text($0.role.rawValue) },
        .data("verdict") { .text($0.verdict.rawValue) },
        .data("encoding") { .text($0.left?.encoding.description) },
        .data("against_encoding") { .text($0.right?.encoding.description) },
        .data("shape") { shape($0.left) },
        .data("against_shape") { shape($0.right) },
        .data("unequal_count") { .count($0.tally.unequalCount) },
        .data("differing_count") { .count($0.tally.differingCount) },
        .data("replaced_count") { .count($0.tally.replacedCount) },
        .data("first_difference") { position($0, $0.tally.firstDiffering) },
        .data("max_error") { .number($0.tally.largestDifference) },
        .data("max_error_at") { position($0, $0.tally.largestDifferenceElement) },
        .data("bound_ratio") { .number($0.tally.worstRatio) },
      ])
  }
}

/// The tensors of one verdict.
private struct VerdictRow {
  let name: Cell
  let tensorCount: Int
  let parameterCount: Int
  /// The worst of those whose values differ; nil where none do.
  let worst: TensorComparison?
  let largestError: Double?
  let boundRatio: Double?

  init(_ verdict: TensorComparison.Verdict, _ tensors: [TensorComparison]) {
    name = .text(
      verdict.rawValue.replacing("_", with: " "), tone: verdict.isDifference ? .bad : .plain)
    tensorCount = tensors.count
    parameterCount = tensors.reduce(0) { $0 + ($1.shape?.elementCount ?? 0) }
    let isMeasured = verdict == .withinBound || verdict == .different
    worst =
      isMeasured
      ? tensors.max { left, right in
        (left.tally.worstRatio, left.tally.largestDifference)
          < (right.tally.worstRatio, right.tally.largestDifference)
      } : nil
    largestError = isMeasured ? tensors.map(\.tally.largestDifference).max() : nil
    let ratio = worst?.tally.worstRatio ?? 0
    boundRatio = ratio > 0 ? ratio : nil
  }
}

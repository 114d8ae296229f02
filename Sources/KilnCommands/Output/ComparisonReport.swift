// SPDX-License-Identifier: Apache-2.0

import Inspection
import JSON
import Reports
import SystemPackage
import TensorCore

/// What `verify --against` found, as text and as JSON.
struct ComparisonReport {
  private let comparison: ModelComparison
  private let left: FilePath
  private let right: FilePath

  init(_ comparison: ModelComparison, left: FilePath, right: FilePath) {
    self.comparison = comparison
    self.left = left
    self.right = right
  }

  private func tensors(_ verdict: TensorComparison.Verdict) -> [TensorComparison] {
    comparison.tensors.filter { $0.verdict == verdict }
  }

  // MARK: - Text

  /// A table of verdicts, a line for each difference, and the conclusion.
  var text: String {
    var table = Table([
      ("verdict", .left), ("tensors", .right), ("parameters", .right), ("largest error", .right),
      ("of bound", .right), ("worst tensor", .left),
    ])
    for verdict in TensorComparison.Verdict.allCases {
      let tensors = tensors(verdict)
      guard !tensors.isEmpty else { continue }
      let worst = tensors.max { left, right in
        (left.tally.worstRatio, left.tally.largestDifference)
          < (right.tally.worstRatio, right.tally.largestDifference)
      }
      let isMeasured = verdict == .withinBound || verdict == .different
      let ratio = worst?.tally.worstRatio ?? 0
      let error = tensors.map(\.tally.largestDifference).max() ?? 0
      table.add([
        verdict.rawValue.replacing("_", with: " "), Quantities.grouped(tensors.count),
        Quantities.grouped(tensors.reduce(0) { $0 + ($1.shape?.elementCount ?? 0) }),
        isMeasured ? Quantities.significant(error) : "",
        ratio > 0 ? ratio.decimalText(decimals: 4) : "",
        isMeasured ? worst?.name.text ?? "" : "",
      ])
    }
    var lines = [table.text]
    let replaced = comparison.tensors.filter { $0.tally.replacedCount > 0 }
    lines += replaced.map {
      "\($0.name): \($0.tally.replacedCount) values that are not finite were replaced".asOneLine
    }
    lines += comparison.tensors.filter { !$0.verdict.isSame }.map { describe($0).asOneLine }
    lines += comparison.fileFindings.map { "\($0.subject): \($0.problem)".asOneLine }
    if comparison.isSame {
      lines.append("\(left) and \(right): the same model".asOneLine)
    }
    return lines.joined(separator: "\n")
  }

  /// The line for standard error.
  var problem: String {
    let count =
      comparison.tensors.count { !$0.verdict.isSame } + comparison.fileFindings.count
    return "kiln: \(left): differs from \(right): \(count)"
      + (count == 1 ? " difference" : " differences")
  }

  private func describe(_ tensor: TensorComparison) -> String {
    let tally = tensor.tally
    switch tensor.verdict {
    case .missing: return "\(tensor.name): only \(right) has it"
    case .extra: return "\(tensor.name): only \(left) has it"
    case .shape:
      return "\(tensor.name): has shape \(tensor.left?.shape.description ?? ""), against"
        + " \(tensor.right?.shape.description ?? "")"
    case .identical, .equal, .withinBound, .different:
      let encodings = [tensor.left, tensor.right].compactMap { $0?.encoding.description }
      let place = tally.firstDiffering.map { ", the first at \(tensor.position(of: $0))" } ?? ""
      let largest =
        tally.largestDifference > 0
        ? ", by up to \(Quantities.significant(tally.largestDifference))" : ""
      let bound =
        tally.worstRatio > 1
        ? " (\(Quantities.significant(tally.worstRatio)) times what rounding permits)" : ""
      return "\(tensor.name): \(Quantities.grouped(tally.differingCount)) of"
        + " \(Quantities.grouped(tensor.shape?.elementCount ?? 0)) values differ"
        + "\(largest)\(bound)\(place); \(encodings.joined(separator: " against "))"
    }
  }

  // MARK: - JSON

  var json: JSONValue {
    [
      "path": .string(left.string),
      "against": .string(right.string),
      "same": .bool(comparison.isSame),
      "counts": .object(
        TensorComparison.Verdict.allCases.map {
          JSONMember(key: ExactString($0.rawValue), value: .integer(tensors($0).count))
        }),
      "findings": .array(
        comparison.fileFindings.map {
          ["subject": .string($0.subject), "problem": .string($0.problem)]
        }),
      "tensors": .array(comparison.tensors.map { json($0) }),
    ]
  }

  private func json(_ tensor: TensorComparison) -> JSONValue {
    let tally = tensor.tally
    func position(_ element: Int?) -> JSONValue {
      element.map { .array(tensor.position(of: $0).map { .integer($0) }) } ?? .null
    }
    func shape(_ side: TensorComparison.Side?) -> JSONValue {
      side.map { .array($0.shape.dimensions.map { .integer($0) }) } ?? .null
    }
    func encoding(_ side: TensorComparison.Side?) -> JSONValue {
      side.map { .string($0.encoding.description) } ?? .null
    }
    return [
      "name": .string(tensor.name.text),
      "verdict": .string(tensor.verdict.rawValue),
      "encoding": encoding(tensor.left),
      "against_encoding": encoding(tensor.right),
      "shape": shape(tensor.left),
      "against_shape": shape(tensor.right),
      "unequal_count": .integer(tally.unequalCount),
      "differing_count": .integer(tally.differingCount),
      "replaced_count": .integer(tally.replacedCount),
      "first_difference": position(tally.firstDiffering),
      "max_error": .number(tally.largestDifference),
      "max_error_at": position(tally.largestDifferenceElement),
      "bound_ratio": .number(tally.worstRatio),
    ]
  }
}

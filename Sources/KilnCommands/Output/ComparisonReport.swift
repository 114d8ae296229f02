// SPDX-License-Identifier: Apache-2.0

import Inspection
import JSON
import Reports
import SystemPackage
import TensorCore

/// What `verify --against` found.
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

  // MARK: - Report

  /// A table of verdicts, a line for each difference, and the conclusion.
  var report: Report {
    var report = Report([
      .fields(
        [JSONMember]([
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
        ])),
      .table(verdicts),
    ])
    report.append(notes: notes)
    report.append(.table(tensorTable))
    return report
  }

  private var notes: [Note] {
    var notes = comparison.tensors.filter { $0.tally.replacedCount > 0 }.map {
      Note(
        "\($0.name): \($0.tally.replacedCount) values that are not finite were replaced",
        tone: .warning)
    }
    notes += comparison.tensors.filter { !$0.verdict.isSame }.map {
      Note(describe($0), tone: .bad)
    }
    notes += comparison.fileFindings.map { Note("\($0.subject): \($0.problem)", tone: .bad) }
    if comparison.isSame {
      notes.append(Note("\(left) and \(right): the same model", tone: .good))
    }
    return notes
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

  // MARK: - Tables

  /// The tensors of one verdict.
  private struct VerdictRow {
    let verdict: TensorComparison.Verdict
    let tensors: [TensorComparison]

    var parameterCount: Int { tensors.reduce(0) { $0 + ($1.shape?.elementCount ?? 0) } }

    /// Whether errors were measured.
    private var isMeasured: Bool { verdict == .withinBound || verdict == .different }

    var largestError: Double? {
      isMeasured ? tensors.map(\.tally.largestDifference).max() : nil
    }

    var worst: TensorComparison? {
      guard isMeasured else { return nil }
      return tensors.max { left, right in
        (left.tally.worstRatio, left.tally.largestDifference)
          < (right.tally.worstRatio, right.tally.largestDifference)
      }
    }

    var boundRatio: Double? {
      worst.flatMap { $0.tally.worstRatio > 0 ? $0.tally.worstRatio : nil }
    }
  }

  private var verdicts: ReportTable {
    let rows = TensorComparison.Verdict.allCases.map { verdict in
      VerdictRow(verdict: verdict, tensors: tensors(verdict))
    }
    return ReportTable(
      "verdicts", for: .people, rows: rows.filter { !$0.tensors.isEmpty },
      columns: [
        .text("verdict", "verdict") { row in
          .text(
            row.verdict.rawValue.replacing("_", with: " "),
            tone: row.verdict.isSame ? .plain : .bad)
        },
        .number("tensors", "tensors") { .count($0.tensors.count) },
        .number("parameters", "parameters", importance: 2) { .count($0.parameterCount) },
        .number("max_error", "largest error", importance: 1) { .number($0.largestError) },
        .number("bound_ratio", "of bound", importance: 1) {
          .number($0.boundRatio, .fixed(decimals: 4))
        },
        .text("worst", "worst tensor", importance: 3) { .text($0.worst?.name.text) },
      ])
  }

  /// One row a tensor, for programs.
  private var tensorTable: ReportTable {
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

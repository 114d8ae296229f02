// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import Reports
import SystemPackage
import TensorCore

/// What `verify --against` found: the verdict, its cause, tensors by role, then single tensors.
struct ComparisonReport {
  let comparison: ModelComparison
  let left: FilePath
  let right: FilePath
  /// The loosest verdict that is accepted.
  let required: ModelComparison.Verdict

  /// Whether the verdict is accepted.
  var isMet: Bool { comparison.verdict <= required }

  func tensors(_ verdict: TensorComparison.Verdict) -> [TensorComparison] {
    comparison.tensors.filter { $0.verdict == verdict }
  }

  /// The verdict, then its cause: differences of documents, then of tensors by role, then single tensors.
  var report: Report {
    var report = Report([
      .notes([Note(conclusion, tone: isMet ? .good : .bad)]),
      .fields(figures),
    ])
    let groups = ComparisonGroup.groups(of: comparison.tensors, where: \.isDifference)
    report.append(
      notes: FindingList.lines(comparison.fileFindings) {
        Note("\($0.subject): \($0.problem)", tone: .bad)
      } + groups.map { Note(describe($0), tone: .bad) })
    report.append(.table(verdictTable))
    let differing = comparison.tensors.filter(\.verdict.isDifference)
    // A group of one has been described.
    if differing.count > groups.count {
      report.append(
        notes: FindingList.lines(differing) { Note(describe($0), tone: .bad) })
    }
    report.append(notes: remarks)
    report.append(.table(tensorTable))
    return report
  }

  // MARK: - Words

  /// The verdict in a line that cannot be taken for another one.
  private var conclusion: String {
    switch comparison.verdict {
    case .identical:
      return "\(left) and \(right) are identical: the same \(identicalParts)"
    case .equal:
      return "\(left) and \(right) are equal: \(equality)"
    case .bound:
      let (rounded, source) = comparison.rounded == .left ? (left, right) : (right, left)
      return "\(rounded) is a rounding of \(source) to"
        + " \(comparison.roundedEncodings.joined(separator: ", ")):"
        + " \(Quantities.grouped(tensors(.withinBound).count)) of"
        + " \(Quantities.counted(comparison.tensors.count, "tensor")) were rounded, all within their bounds"
    case .different where comparison.isRoundedOnBothSides:
      return "\(left) and \(right) differ: some tensors are rounded in one and some in the other,"
        + " so that neither is a rounding of the other"
    case .different:
      let count = comparison.tensors.count(where: \.verdict.isDifference)
      let parts =
        files(of: comparison.fileFindings)
        + (count == 0
          ? []
          : [
            "\(Quantities.grouped(count)) of \(Quantities.counted(comparison.tensors.count, "tensor"))"
          ])
      return "\(left) and \(right) differ: \(parts.joined(separator: ", "))"
    }
  }

  /// What both have and was compared, and what was not.
  private var identicalParts: String {
    let files = [
      ("configuration", comparison.comparesConfiguration),
      ("tokenizer", comparison.comparesTokenizer),
    ]
    let missing = files.filter { !$0.1 }.map(\.0)
    let parts = ["encodings", "bytes"] + files.filter(\.1).map(\.0)
    return parts.dropLast().joined(separator: ", ") + " and \(parts.last ?? "")"
      + (missing.isEmpty
        ? ""
        : "; \(missing.joined(separator: " and "))"
          + " \(missing.count == 1 ? "was" : "were") not compared")
  }

  /// In what models of the same values are not identical.
  private var equality: String {
    let equal = tensors(.equal)
    let hasOtherEncodings = equal.contains { $0.left?.encoding != $0.right?.encoding }
    let hasOtherBytes = equal.contains { $0.left?.encoding == $0.right?.encoding }
    var parts: [String] = []
    if hasOtherEncodings { parts.append("the same values, in another encoding") }
    if hasOtherBytes {
      let count = equal.count { $0.left?.encoding == $0.right?.encoding }
      parts.append(
        "the same values in other bytes, such as -0 for 0, in \(Quantities.grouped(count))"
          + " tensor\(count == 1 ? "" : "s")")
    }
    if equal.isEmpty { parts.append("the same encodings and bytes") }
    if comparison.tiesOneHead { parts.append("one has no head and ties it to the embedding") }
    if !comparison.rewordedFiles.isEmpty {
      parts.append(
        "\(comparison.rewordedFiles.joined(separator: " and "))"
          + " differs in keys that make no other model")
    }
    return parts.joined(separator: "; ")
  }

  private func files(of findings: [Verification.Finding]) -> [String] {
    findings.map(\.subject).reduce(into: []) { names, name in
      if !names.contains(name) { names.append(name) }
    }
  }

  /// The line for standard error where the verdict is not accepted.
  var problem: String {
    switch comparison.verdict {
    case .bound:
      let schemes = comparison.roundedEncodings.joined(separator: ", ")
      return "kiln: \(left): not equal to \(right), but within the bound of \(schemes);"
        + " --require bound accepts that"
    case .equal, .identical:
      return "kiln: \(left): equal to \(right), but not identical; --require equal accepts that"
    case .different:
      return "kiln: \(left): differs from \(right)"
    }
  }

  private func describe(_ group: ComparisonGroup) -> String {
    let count = group.tensorCount
    let subject =
      "\(Quantities.grouped(count)) \(group.role.rawValue) tensor\(count == 1 ? "" : "s")"
    let place =
      group.layers.map { layers in
        layers.count == 1
          ? " of layer \(layers.lowerBound)"
          : " of layers \(layers.lowerBound)-\(layers.upperBound)"
      } ?? ""
    let found =
      switch group.verdict {
      case .missing: ": only \(right) has \(count == 1 ? "it" : "them")"
      case .extra: ": only \(left) has \(count == 1 ? "it" : "them")"
      case .shape: ": other shapes, such as \(describe(group.worst))"
      case .identical, .equal, .withinBound, .different:
        count == 1 ? ": \(describe(group.worst))" : ", the worst: \(describe(group.worst))"
      }
    let protected =
      group.verdict == .different && !group.role.isQuantizable
      ? "; never rounded, so its values have to be equal" : ""
    return subject + place + found + protected
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

  /// What makes no other model, but may be of interest.
  private var remarks: [Note] {
    let replaced = comparison.tensors.filter { $0.tally.replacedCount > 0 }
    return FindingList.lines(replaced) {
      Note(
        "\($0.name): \($0.tally.replacedCount) values that are not finite were replaced",
        tone: .warning)
    } + FindingList.lines(comparison.fileNotes) { Note("note: \($0.subject): \($0.problem)") }
  }
}

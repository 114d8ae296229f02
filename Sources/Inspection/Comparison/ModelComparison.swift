// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// How the models of two checkpoints relate, tensor by tensor under released names.
///
/// Dialect, sharding and the order of tensors do not matter. Checksums are not looked at: that is what
/// `Verification` does.
package struct ModelComparison: Sendable {
  /// How two models relate, from the strictest to the loosest.
  package enum Verdict: String, CaseIterable, Comparable, Sendable {
    /// Same encodings, same bytes of every tensor, same meaning of configuration and tokenizer.
    case identical
    /// Same values of every tensor, in other encodings or another layout.
    case equal
    /// One side is a rounding of the other: every value is within the bound of its scheme, and at least one
    /// tensor was rounded.
    case bound
    /// Anything else.
    case different

    package static func < (left: Verdict, right: Verdict) -> Bool {
      let places = (allCases.firstIndex(of: left), allCases.firstIndex(of: right))
      return places.0 ?? 0 < places.1 ?? 0
    }
  }

  /// All tensors: those of the first checkpoint in its order, then those that only the other one has.
  package let tensors: [TensorComparison]
  /// Differences of configuration and tokenizer.
  package let fileFindings: [Verification.Finding]
  /// Differences of files that do not make another model, and files that could not be compared.
  package let fileNotes: [Verification.Finding]
  /// Whether both have a configuration, so that it was compared.
  package let comparesConfiguration: Bool
  /// Whether both have a tokenizer, so that it was compared.
  package let comparesTokenizer: Bool
  /// Documents of both that are not the same in every key, by name.
  package let rewordedFiles: [String]
  /// Whether one of them has no head, and the embedding of the other stands for it.
  package let tiesOneHead: Bool
  /// What all of it says together.
  package let verdict: Verdict
  /// The side that was rounded; nil unless the verdict is `bound`.
  package let rounded: RoundedSides?

  /// Whether the tensors alone would be within their bounds, but some of them are rounded on one side and
  /// some on the other, so that neither model is a rounding of the other.
  package var isRoundedOnBothSides: Bool {
    verdict == .different && fileFindings.isEmpty
      && !tensors.contains(where: \.verdict.isDifference)
  }

  /// Encodings of the tensors that were rounded, by name; none unless the verdict is `bound`.
  package var roundedEncodings: [String] {
    guard let rounded else { return [] }
    let names = tensors.compactMap { tensor -> String? in
      guard tensor.verdict == .withinBound else { return nil }
      return (rounded == .left ? tensor.left : tensor.right)?.encoding.description
    }
    return Set(names).sorted()
  }

  /// Compares two checkpoints in one pass over both.
  ///
  /// - Parameters:
  ///   - left: The first one.
  ///   - right: The other one.
  ///   - workers: Threads. The result does not depend on their number.
  ///   - progress: Told how far it is, in bytes of both.
  /// - Throws: `CheckpointError` if the tensors of one have no released names, `KilnFormatError` if a
  ///   compressed one is damaged, `FileError` if a file changes meanwhile.
  package init(
    _ left: Checkpoint, _ right: Checkpoint, workers: Workers, progress: Progress.Handler
  ) throws {
    let files = FileComparison(left, right)
    let pairs = try ComparedTensors(left, right)
    let tensors = try pairs.compare(workers: workers, progress: progress)
    for file in left.dataFiles + right.dataFiles { try file.checkSize() }
    (fileFindings, fileNotes) = (files.findings, files.notes + pairs.notes)
    self.tensors = tensors
    (comparesConfiguration, comparesTokenizer) = (
      files.comparesConfiguration, files.comparesTokenizer
    )
    (rewordedFiles, tiesOneHead) = (files.reworded, !pairs.notes.isEmpty)
    let isIdentical = files.isIdentical && pairs.notes.isEmpty
    (verdict, rounded) = Self.conclude(
      tensors, differs: !files.findings.isEmpty, isIdentical: isIdentical)
  }

  private static func conclude(
    _ tensors: [TensorComparison], differs: Bool, isIdentical: Bool
  ) -> (Verdict, rounded: RoundedSides?) {
    if differs || tensors.contains(where: \.verdict.isDifference) { return (.different, nil) }
    let rounded = tensors.filter { $0.verdict == .withinBound }
    guard let first = rounded.first else {
      let isIdentical = isIdentical && tensors.allSatisfy { $0.verdict == .identical }
      return (isIdentical ? .identical : .equal, nil)
    }
    // One side has to be the rounding of the other in every tensor.
    let sides = rounded.reduce([.left, .right] as RoundedSides) { $0.intersection($1.rounded) }
    switch sides {
    case []: return (.different, nil)
    case [.left, .right]:
      // Codes, and BF16 that is exactly what they give: that is the closer of two descriptions.
      return (.bound, first.left?.encoding.isQuantized == true ? .right : .left)
    default: return (.bound, sides)
    }
  }
}

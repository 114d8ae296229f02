// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import Kernels
import KilnFormat
package import SystemPackage
package import TensorCore

/// The results of a base that were kept in a file: final hidden states, and the head that turns them
/// into logits (`Formats/Base.md`).
///
/// Logits that are computed from it are those of the base to the last bit. All checksums were checked.
package struct SavedBase: Sendable {
  /// Where it is.
  package let path: FilePath
  /// The head of the base, `[vocabulary, d]`.
  package let head: OutputHead
  /// Float32, `[positions, d]`.
  private let hidden: EncodedTensor

  /// Checks a saved base from its first byte to its last.
  ///
  /// - Parameters:
  ///   - checkpoint: One that `isSavedBase`.
  ///   - tokens: The text of this run.
  ///   - windows: How it is cut.
  ///   - workers: Threads.
  /// - Throws: `BaseError` if it is malformed or damaged, or was saved for another text or other
  ///   windows; `KilnFormatError` or a JSON error.
  package init(
    _ checkpoint: Checkpoint, tokens: [Int], windows: TokenWindows, workers: Workers
  ) throws {
    path = checkpoint.path
    let integrity = PackedIntegrity(checkpoint)
    try integrity.checkFiles()
    let description = try BaseDescription(in: checkpoint)
    try description.check(
      against: BaseDescription(tokens: tokens, windows: windows), path: checkpoint.path)

    hidden = try Self.matrix(BaseDescription.hiddenStates, in: checkpoint, workers)
    guard hidden.encoding == .plain(.f32), hidden.shape.rows == windows.scoredCount else {
      throw BaseError.malformed(
        path,
        problem: "\"\(BaseDescription.hiddenStates)\" is \(hidden.encoding) \(hidden.shape),"
          + " expected f32 with \(windows.scoredCount) rows")
    }
    let weights = try Self.matrix(BaseDescription.head, in: checkpoint, workers)
    guard weights.encoding.isComputable, weights.shape.columns == hidden.shape.columns else {
      throw BaseError.malformed(
        path,
        problem: "\"\(BaseDescription.head)\" is \(weights.encoding) \(weights.shape), expected"
          + " rows of \(hidden.shape.columns) numbers to compute with")
    }
    head = OutputHead(weights)
    try integrity.checkAll(workers: workers)
    if let padding = checkpoint.packed?.firstDamagedPadding {
      throw BaseError.damaged(path, part: "padding at byte \(padding)")
    }
  }

  private static func matrix(
    _ name: ExactString, in checkpoint: Checkpoint, _ workers: Workers
  ) throws -> EncodedTensor {
    guard let stored = checkpoint.storedTensors.first(where: { $0.name == name }) else {
      throw BaseError.malformed(checkpoint.path, problem: "tensor \"\(name)\" is missing")
    }
    guard stored.shape.rank == 2, stored.shape.elementCount > 0, !stored.isCompressed else {
      throw BaseError.malformed(
        checkpoint.path,
        problem:
          "tensor \"\(name)\" is \(stored.shape)\(stored.isCompressed ? ", compressed" : ""),"
          + " expected a matrix")
    }
    return try stored.load(workers: workers)
  }

  /// The hidden states of some scored positions.
  ///
  /// - Returns: `[positions.count, d]`.
  func hiddenStates(_ positions: Range<Int>) -> Matrix {
    rows(of: hidden, Array(positions))
  }
}

extension TensorEncoding {
  /// Whether a product can be computed with it.
  fileprivate var isComputable: Bool {
    switch self {
    case .plain(let dtype): dtype.isComputable
    case .quantized: true
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import JSON
package import Kernels
import KilnFormat
import KimiLinear
package import SystemPackage
package import TensorCore

/// Keeps the results of a base while it is run (`Formats/Base.md`).
package final class SavedBaseWriter {
  /// Bytes of the head that are written at a time.
  private static let pieceByteCount = 1 << 20

  private let writer: KilnWriter

  /// Starts a file.
  ///
  /// - Parameters:
  ///   - path: Where it goes.
  ///   - replacing: Whether a file of that name may be replaced.
  ///   - producer: Program and version.
  ///   - checkpoint: The base.
  ///   - run: The base as it will be run.
  /// - Throws: `FileError` if the file exists and may not be replaced, or cannot be made.
  package init(
    _ path: FilePath, replacing: Bool, producer: String, checkpoint: Checkpoint, run: WindowRun
  ) throws {
    let head = run.model.weights.head
    let description = BaseDescription(tokens: run.tokens, windows: run.windows).json
    let columns = run.model.configuration.hiddenSize
    guard let shape = TensorShape([run.windows.scoredCount, columns]),
      let layout = KilnLayout(
        producer: producer, source: checkpoint.provenance, recipe: .null,
        calibration: checkpoint.calibration,
        files: [
          KilnLayout.File(name: BaseDescription.fileName, byteCount: description.count)
        ],
        tensors: [
          KilnLayout.Tensor(
            name: BaseDescription.head, encoding: head.encoding, shape: head.shape,
            sourceDType: head.encoding.plainType ?? .f32, continuesRun: false),
          KilnLayout.Tensor(
            name: BaseDescription.hiddenStates, encoding: .plain(.f32), shape: shape,
            sourceDType: .f32, continuesRun: false),
        ],
        assemblies: [])
    else {
      throw FileError.tooLarge(path, size: Int.max, limit: Int.max / 4)
    }
    writer = KilnWriter(
      layout,
      to: try OutputFile(path, replacing: replacing, byteCount: layout.fileByteCount))
    unsafe try writer.write(description.span.bytes)
    let region = head.region
    for start in stride(from: 0, to: region.byteCount, by: Self.pieceByteCount) {
      let end = min(start + Self.pieceByteCount, region.byteCount)
      try writer.write(region.bytes.extracting(start..<end))
    }
  }

  /// Adds the hidden states of the next positions, `[n, d]`.
  package func append(_ hidden: Matrix) throws(FileError) {
    unsafe try writer.write(hidden.elements.span.bytes)
  }

  /// Completes the file.
  ///
  /// - Precondition: All positions were added.
  package func commit() throws(FileError) {
    try writer.commit()
  }
}

extension TensorEncoding {
  /// The element type of plain elements.
  fileprivate var plainType: DType? {
    if case .plain(let dtype) = self { dtype } else { nil }
  }
}

// SPDX-License-Identifier: Apache-2.0

package import Calibration
package import Checkpoints
import JSON
import KilnFormat
package import KimiLinear
package import SystemPackage
package import TensorCore

/// What a calibration collected, in a file (`Formats/Calibration.md`): the tokens that were drawn, and what parts of
/// the model lose.
///
/// It holds no moments: matrices are rounded for the inputs that they get from predecessors that are
/// quantized themselves, and these depend on the schemes that are asked for.
package struct SavedCalibration: Sendable {
  /// The text and the tokens, with what was measured.
  package let text: CalibrationText

  /// Checks a saved calibration from its first byte to its last.
  ///
  /// - Parameters:
  ///   - checkpoint: One that `isSavedCalibration`.
  ///   - model: The model that it is to be used for.
  ///   - workers: Threads.
  /// - Throws: `SavedCalibrationError` if it is malformed or was made for another model; `KilnFormatError` or a JSON
  ///   error; `ModelError.tokenOutOfRange`.
  package init(
    _ checkpoint: Checkpoint, for model: CheckedCheckpoint, workers: Workers
  ) throws {
    let path = checkpoint.path
    try PackedIntegrity(checkpoint).checkAll(workers: workers)
    if let padding = checkpoint.packed?.firstDamagedPadding {
      throw SavedCalibrationError.damaged(path, part: "padding at byte \(padding)")
    }
    let description = try CalibrationDescription(in: checkpoint)
    guard description.model == (try ModelFingerprint(model, workers: workers)) else {
      throw SavedCalibrationError.otherModel(path, model: model.checkpoint.path.string)
    }
    let tokens = try Self.tokens(in: checkpoint)
    let vocabulary = model.configuration.vocabularySize
    for id in tokens where id >= vocabulary {
      throw ModelError.tokenOutOfRange(id: id, vocabularySize: vocabulary)
    }
    guard
      let sample = CalibrationSample(
        tokens: tokens, context: description.context, seed: description.seed,
        availableWindows: description.availableWindows)
    else {
      throw SavedCalibrationError.malformed(
        path,
        problem:
          "\(tokens.count) tokens, expected from 1 to \(description.availableWindows) windows of"
          + " \(description.context)")
    }
    let units = AllocationUnit.all(of: model).map(\.unit)
    guard description.sensitivities.covers(units) else {
      throw SavedCalibrationError.malformed(
        path, problem: "\"sensitivities\" are not those of the \(units.count) parts of the model")
    }
    text = CalibrationText(
      checksum: description.textChecksum, byteCount: description.textByteCount, sample: sample,
      sensitivities: description.sensitivities)
  }

  private static func tokens(in checkpoint: Checkpoint) throws -> [Int] {
    let name = CalibrationDescription.tokens
    guard let stored = checkpoint.storedTensors.first(where: { $0.name == name }) else {
      throw SavedCalibrationError.malformed(
        checkpoint.path, problem: "tensor \"\(name)\" is missing")
    }
    guard stored.encoding == .plain(.u32), stored.shape.rank == 1, let tensor = stored.inPlace
    else {
      throw SavedCalibrationError.malformed(
        checkpoint.path,
        problem: "tensor \"\(name)\" is \(stored.encoding) \(stored.shape), expected a list of u32")
    }
    let bytes = tensor.region.bytes
    return (0..<stored.shape.elementCount).map { Int(bytes.load(at: 4 * $0, as: UInt32.self)) }
  }
}

extension SavedCalibration {
  /// Writes what a calibration collected.
  ///
  /// - Parameters:
  ///   - path: Where it goes.
  ///   - replacing: Whether a file of that name may be replaced.
  ///   - producer: Program and version.
  ///   - calibration: The text and the tokens.
  ///   - measured: What parts of the model lose.
  ///   - model: The model.
  ///   - workers: Threads.
  /// - Returns: Bytes of the file.
  /// - Throws: `SavedCalibrationError.notFinite`; `FileError` if the file exists and may not be replaced, or cannot be
  ///   made.
  @discardableResult
  package static func write(
    to path: FilePath, replacing: Bool, producer: String, _ calibration: CalibrationText,
    measured: UnitSensitivities, model: CheckedCheckpoint, workers: Workers
  ) throws -> Int {
    for loss in measured.losses where !loss.loss.isFinite {
      throw SavedCalibrationError.notFinite(
        model: model.checkpoint.path.string, unit: loss.unit.description)
    }
    let description = CalibrationDescription(
      calibration, of: try ModelFingerprint(model, workers: workers), measured
    ).json
    let tokens = [UInt8](
      littleEndian: calibration.sample.tokens.map { UInt32(clamping: $0).littleEndian })
    guard let shape = TensorShape([calibration.sample.tokens.count]),
      let layout = KilnLayout(
        producer: producer, source: model.checkpoint.provenance, recipe: .null,
        files: [
          KilnLayout.File(name: CalibrationDescription.fileName, byteCount: description.count)
        ],
        tensors: [
          KilnLayout.Tensor(
            name: CalibrationDescription.tokens, encoding: .plain(.u32), shape: shape,
            sourceDType: .u32, continuesRun: false)
        ],
        assemblies: [])
    else {
      throw FileError.tooLarge(path, size: Int.max, limit: Int.max / 4)
    }
    let writer = KilnWriter(
      layout, to: try OutputFile(path, replacing: replacing, byteCount: layout.fileByteCount))
    unsafe try writer.write(description.span.bytes)
    unsafe try writer.write(tokens.span.bytes)
    try writer.commit()
    return layout.fileByteCount
  }
}

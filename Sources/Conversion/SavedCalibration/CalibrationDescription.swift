// SPDX-License-Identifier: Apache-2.0

package import Calibration
package import Checkpoints
import JSON
import KilnFormat
import Quantization
import SystemPackage
import TensorCore

/// What `calibration.json` says: which tokens of which text, for which model, and what was measured.
package struct CalibrationDescription: Equatable {
  static let version = 1
  static let fileName = Checkpoint.savedCalibrationFileName
  static let tokens: ExactString = "tokens"
  /// Largest `calibration.json` that is parsed, in bytes: a model of 1,024 layers and 1,024 experts has less.
  static let maximumByteCount = 1 << 24

  /// The model that it was measured on.
  package let model: ModelFingerprint
  /// XXH3 of the whole text, and its length.
  package let textChecksum: UInt64
  package let textByteCount: Int
  /// Tokens of a window.
  package let context: Int
  /// What chose the windows.
  package let seed: UInt64
  /// Windows that the text has.
  package let availableWindows: Int
  /// What was measured.
  package let sensitivities: UnitSensitivities

  init(_ calibration: CalibrationText, of model: ModelFingerprint, _ measured: UnitSensitivities) {
    self.model = model
    textChecksum = calibration.checksum
    textByteCount = calibration.byteCount
    context = calibration.sample.context
    seed = calibration.sample.seed
    availableWindows = calibration.sample.availableWindows
    sensitivities = measured
  }

  // MARK: - Reading

  /// Reads the `calibration.json` of a saved calibration.
  ///
  /// - Throws: `CheckpointError.missingFile`, `SavedCalibrationError` or a JSON error.
  package init(in checkpoint: Checkpoint) throws {
    guard let file = checkpoint.files.first(where: { $0.name == Self.fileName }) else {
      throw CheckpointError.missingFile(checkpoint.path, name: Self.fileName)
    }
    guard file.region.byteCount <= Self.maximumByteCount else {
      throw SavedCalibrationError.malformed(
        checkpoint.path,
        problem: "\(Self.fileName) has \(file.region.byteCount) bytes, expected at most"
          + " \(Self.maximumByteCount)")
    }
    try self.init(parsing: file.region.bytes.copy(), path: checkpoint.path)
  }

  /// Reads `calibration.json`.
  ///
  /// - Throws: `SavedCalibrationError` or a JSON error.
  init(parsing text: [UInt8], path: FilePath) throws {
    let file = "\(path): \(Self.fileName)"
    let root = JSONField(file: file, root: try JSONValue(parsing: text, file: file))
    let version = try root["kiln_calibration"].integer(in: 1...Int.max)
    guard version == Self.version else {
      throw SavedCalibrationError.version(path, found: version, supported: Self.version)
    }
    model = ModelFingerprint(checksum: try Self.checksum(root["model"]))
    textChecksum = try Self.checksum(root["text_checksum"])
    textByteCount = try root["text_bytes"].integer(in: 0...Int.max)
    context = try root["context"].integer(in: 1...Int.max)
    seed = try Self.checksum(root["seed"])
    availableWindows = try root["available_windows"].integer(in: 1...Int.max)
    guard let method = RoundingMethod(rawValue: try root["method"].string()) else {
      throw root["method"].unexpected("a method of rounding")
    }
    var losses: [UnitSensitivities.Loss] = []
    for field in try root["sensitivities"].array() {
      losses.append(.init(unit: try Self.unit(field), loss: try field["kl"].number()))
    }
    var coverage: [ExpertCoverage] = []
    for layer in try root["experts"].array() {
      var counts: [Int] = []
      for count in try layer["tokens"].array() { counts.append(try count.integer(in: 0...Int.max)) }
      coverage.append(
        ExpertCoverage(
          layer: try layer["layer"].integer(in: 0...Int.max), tokenCounts: counts,
          threshold: try layer["scarce_below"].integer(in: 0...Int.max)))
    }
    sensitivities = UnitSensitivities(method: method, losses: losses, coverage: coverage)
  }

  private static func checksum(_ field: JSONField) throws -> UInt64 {
    guard let checksum = Checksum.parse(try field.string()) else {
      throw field.unexpected("16 hexadecimal digits")
    }
    return checksum
  }

  private static func unit(_ field: JSONField) throws -> AllocationUnit {
    guard let role = TensorRole(rawValue: try field["role"].string()) else {
      throw field["role"].unexpected("a role")
    }
    let layer = try field["layer"].ifPresent?.integer(in: 0...Int.max)
    let output = try field["output"].ifPresent?.string()
    guard let unit = AllocationUnit(role: role, layer: layer, output: output) else {
      throw field.unexpected("a part of a model that can be quantized")
    }
    return unit
  }

  // MARK: - Writing

  /// `calibration.json`, keys in the order of the format page.
  var json: [UInt8] {
    JSONWriter.pretty([
      "kiln_calibration": .integer(Self.version),
      "model": .string(Checksum.text(model.checksum)),
      "text_checksum": .string(Checksum.text(textChecksum)),
      "text_bytes": .integer(textByteCount),
      "context": .integer(context),
      "seed": .string(Checksum.text(seed)),
      "available_windows": .integer(availableWindows),
      "method": .string(sensitivities.method.rawValue),
      "sensitivities": .array(
        sensitivities.losses.map { loss in
          [
            "role": .string(loss.unit.role.rawValue),
            "layer": loss.unit.layer.map { .integer($0) } ?? .null,
            "output": loss.unit.output.map { .string($0) } ?? .null,
            "kl": .number(loss.loss),
          ]
        }),
      "experts": CalibrationEvidence.json(sensitivities.coverage),
    ])
  }
}

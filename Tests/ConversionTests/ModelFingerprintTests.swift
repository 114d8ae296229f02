// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Conversion
import JSON
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// For which models a saved calibration is good.
@Suite struct ModelFingerprintTests {
  private static let workers = Workers(count: 2)

  private func model(_ path: FilePath) throws -> CheckedCheckpoint {
    try CheckedCheckpoint(try Checkpoint(path))
  }

  /// Saves a calibration of a model, with experts that were counted.
  private func save(_ model: CheckedCheckpoint, to path: FilePath) throws -> UnitSensitivities {
    let measured = UnitSensitivities(
      method: .search,
      losses: AllocationUnit.all(of: model).enumerated().map {
        UnitSensitivities.Loss(unit: $1.unit, loss: 0.125 * Double($0))
      },
      coverage: [
        ExpertCoverage(layer: 1, tokenCounts: [3, 0, 7, 9], threshold: 256),
        ExpertCoverage(layer: 2, tokenCounts: [1, 2, 3, 4], threshold: 5),
      ])
    try SavedCalibration.write(
      to: path, replacing: false, producer: "kiln test",
      CalibrationText(
        text: [1, 2, 3],
        sample: CalibrationSample(Array(0..<40), windows: 3, context: 10, seed: 5)),
      measured: measured, model: model, workers: Self.workers)
    return measured
  }

  @Test func `another container of the same model is the same, another weight is not`() throws {
    let checkpoint = TinyCheckpoint()
    let name = "model.layers.0.self_attn.q_proj.weight"
    let index = try #require(checkpoint.tensors.firstIndex { $0.name == name })
    try TemporaryFolder.with { folder in
      let original = try checkpoint.write(to: folder, as: "model")
      let path = folder.path.appending("saved")
      let measured = try save(model(original), to: path)
      func open(_ other: FilePath) throws -> SavedCalibration {
        try SavedCalibration(Checkpoint(path), for: model(other), workers: Self.workers)
      }
      #expect(try open(original).text.sensitivities == measured)
      let packed = folder.path.appending("x.kiln")
      try pack(original, to: packed)
      #expect(try open(packed).text.sensitivities == measured)

      // 4,096 bytes, all of which count.
      for place in [0, 2047, 4094] {
        var tensors = checkpoint.tensors
        #expect(tensors[index].bytes.count == 4096)
        tensors[index].bytes[place] ^= 1
        let other = try checkpoint.write(to: folder, as: "weight \(place)", tensors: tensors)
        #expect(throws: SavedCalibrationError.otherModel(path, model: other.string)) {
          try open(other)
        }
      }
      // The same weights under another configuration.
      let other = try checkpoint.write(
        to: folder, as: "configuration",
        configuration: checkpoint.configuration.setting("routed_scaling_factor", to: .number(1.25)))
      #expect(throws: SavedCalibrationError.otherModel(path, model: other.string)) {
        try open(other)
      }
    }
  }
}

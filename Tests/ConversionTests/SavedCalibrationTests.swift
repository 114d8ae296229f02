// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Conversion
import JSON
import KilnFormat
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A model, and calibrations of it in a folder.
private struct CalibrationFolder {
  static let tokens = (0..<40).map { $0 * 37 % 96 }
  private static let workers = Workers(count: 2)

  let model: CheckedCheckpoint
  let folder: TemporaryFolder

  static func with(_ body: (Self) throws -> Void) throws {
    try TemporaryFolder.with { folder in
      let model = try TinyCheckpoint().write(to: folder, as: "model")
      try body(Self(model: CheckedCheckpoint(Checkpoint(model)), folder: folder))
    }
  }

  var measured: UnitSensitivities {
    let losses = AllocationUnit.all(of: model).enumerated().map { index, entry in
      UnitSensitivities.Loss(unit: entry.unit, loss: 0.25 * Double(index))
    }
    return UnitSensitivities(method: .gptq, losses: losses, coverage: [])
  }

  @discardableResult
  func save(_ name: String, _ measured: UnitSensitivities) throws -> FilePath {
    let path = folder.path.appending(name)
    let sample = CalibrationSample(Self.tokens, windows: 3, context: 10, seed: 5)
    try SavedCalibration.write(
      to: path, replacing: true, producer: "kiln test",
      CalibrationText(text: [1, 2, 3], sample: sample), measured: measured, model: model,
      workers: Self.workers)
    return path
  }

  func open(_ path: FilePath) throws -> SavedCalibration {
    try SavedCalibration(Checkpoint(path), for: model, workers: Self.workers)
  }

  /// `calibration.json` of a sound file.
  func description() throws -> String {
    let checkpoint = try Checkpoint(try save("sound", measured))
    let file = try #require(checkpoint.files.first { $0.name == "calibration.json" })
    let bytes = file.region.bytes
    return String(decoding: bytes.copy(), as: UTF8.self)
  }

  /// A packed file with any description and any tensor; its checksums are right.
  func write(
    _ description: String,
    _ tensor: (name: String, encoding: TensorEncoding, shape: [Int]) = (
      "tokens", .plain(.u32), [30]
    )
  ) throws -> FilePath {
    let shape = try #require(TensorShape(tensor.shape))
    let layout = try #require(
      KilnLayout(
        producer: "kiln test",
        source: KilnHeader.Source(format: "safetensors", tensorCount: 1, byteCount: 1),
        recipe: .null,
        files: [KilnLayout.File(name: "calibration.json", byteCount: description.utf8.count)],
        tensors: [
          KilnLayout.Tensor(
            name: ExactString(tensor.name), encoding: tensor.encoding, shape: shape,
            sourceDType: .u32, continuesRun: false)
        ],
        assemblies: []))
    let path = folder.path.appending("written")
    let writer = KilnWriter(layout, to: try OutputFile(path, replacing: true))
    let zeros = [UInt8](repeating: 0, count: try #require(tensor.encoding.byteCount(shape)))
    for entry in [Array(description.utf8), zeros] { unsafe try writer.write(entry.span.bytes) }
    try writer.commit()
    return path
  }

}

/// Files that keep what a calibration collected.
@Suite struct SavedCalibrationTests {
  @Test func `what was saved comes back`() throws {
    try CalibrationFolder.with { test in
      let saved = try test.open(try test.save("saved", test.measured)).text
      let sample = CalibrationSample(CalibrationFolder.tokens, windows: 3, context: 10, seed: 5)
      #expect(saved.sample.tokens == sample.tokens && saved.sample.context == 10)
      #expect(saved.sample.seed == 5 && saved.sample.availableWindows == 4)
      #expect(saved.sensitivities == test.measured)
      #expect(throws: Never.self) { try test.open(test.write(test.description())) }
    }
  }

  @Test func `a loss that is not a number is not saved`() throws {
    try CalibrationFolder.with { test in
      let unit = try #require(test.measured.losses.first).unit
      let broken = UnitSensitivities(
        method: .gptq, losses: [.init(unit: unit, loss: .nan)], coverage: [])
      #expect(
        throws: SavedCalibrationError.notFinite(
          model: test.model.checkpoint.path.string, unit: unit.description)
      ) { try test.save("saved", broken) }
      #expect(try !test.folder.entries(of: ".").contains("saved"))
    }
  }

  @Test(arguments: [
    ("\"kiln_calibration\": 1", "\"kiln_calibration\": 2", "version 2"),
    ("\"kiln_calibration\": 1", "\"kiln_calibration\": \"1\"", "kiln_calibration"),
    ("\"seed\": \"0000000000000005\"", "\"seed\": \"5\"", "16 hexadecimal digits"),
    ("\"method\": \"gptq\"", "\"method\": \"magic\"", "a method of rounding"),
    ("\"context\": 10", "\"context\": 7", "30 tokens, expected from 1 to 4 windows of 7"),
    ("\"context\": 10", "\"context\": 0", "context"),
    ("\"available_windows\": 4", "\"available_windows\": 2", "30 tokens"),
    ("\"available_windows\": 4", "\"available_windows\": 9223372036854775808", "available_windows"),
    ("\"text_bytes\": 3", "\"text_bytes\": -3", "text_bytes"),
    ("\"role\": \"head\"", "\"role\": \"tail\"", "a role"),
    ("\"role\": \"head\"", "\"role\": \"norm\"", "a part of a model that can be quantized"),
    ("\"role\": \"head\"", "\"role\": \"embedding\"", "parts of the model"),
    ("\"kl\": 0.25", "\"kl\": \"much\"", "kl"),
  ])
  func `a description that says something else is refused by name`(
    part: String, replacement: String, problem: String
  ) throws {
    try CalibrationFolder.with { test in
      let sound = try test.description()
      let changed = try #require(
        sound.firstRange(of: part).map {
          sound[..<$0.lowerBound] + replacement + sound[$0.upperBound...]
        })
      let path = try test.write(String(changed))
      do {
        _ = try test.open(path)
        Issue.record("accepted")
      } catch let error as any KilnError {
        #expect("\(error)".contains(problem), "\(error)")
        #expect("\(error)".contains(path.string))
      }
    }
  }

  @Test(
    arguments: [
      ("words", .plain(.u32), [30]), ("tokens", .plain(.i32), [30]),
      ("tokens", .plain(.u32), [3, 10]),
      ("tokens", .plain(.u32), [29]), ("tokens", .plain(.u32), [0]),
    ] as [(String, TensorEncoding, [Int])])
  func `tokens of another kind are refused`(
    name: String, encoding: TensorEncoding, shape: [Int]
  ) throws {
    try CalibrationFolder.with { test in
      let path = try test.write(test.description(), (name, encoding, shape))
      #expect(throws: SavedCalibrationError.self) { try test.open(path) }
    }
  }

  @Test func `damage to any byte is found`() throws {
    try CalibrationFolder.with { test in
      try test.save("saved", test.measured)
      let bytes = try test.folder.read("saved")
      var accepted: [Int] = []
      for offset in Array(0..<300) + Array(stride(from: 300, to: bytes.count, by: 61)) {
        try test.folder.patch("saved", at: offset, with: bytes[offset] ^ 0x10)
        do {
          _ = try test.open(test.folder.path.appending("saved"))
          accepted.append(offset)
        } catch is any KilnError {}
        try test.folder.patch("saved", at: offset, with: bytes[offset])
      }
      #expect(accepted.isEmpty)
    }
  }
}

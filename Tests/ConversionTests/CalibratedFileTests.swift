// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Conversion
import JSON
import Kernels
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Packed files that were quantized by a calibration text.
@Suite struct CalibratedFileTests {
  /// Packs the nano checkpoint by a text of random tokens.
  private func pack(
    to path: FilePath, method: RoundingMethod = .gptq, windows: Int = 6, context: Int = 48,
    threads: Int = 2
  ) throws -> Packing.Report {
    let checked = try CheckedCheckpoint(try Checkpoint(Fixtures.nano))
    var random = SeededGenerator(seed: 9)
    let text = (0..<windows * context).map { _ in
      Int.random(in: 0..<checked.configuration.vocabularySize, using: &random)
    }
    let plan = try PackingPlan(
      checked, recipe: try recipe("int4-g32", method: method), producer: "kiln test",
      calibration: CalibrationText(
        text: [1, 2, 3],
        sample: CalibrationSample(text, windows: windows, context: context, seed: 0)))
    return try Packing(plan, workers: Workers(count: threads)).run(
      to: path, replacing: true, progress: { _ in })
  }

  @Test func `a matrix is handed out once, and only if it is to be quantized`() throws {
    let checked = try CheckedCheckpoint(try Checkpoint(Fixtures.nano))
    let encoding = try #require(TensorEncoding(schemeName: "int4-g32"))
    let names = checked.tensors.tensors.map(\.name)
    let name = try #require(names.first { $0.text.hasSuffix("layers.0.self_attn.q_proj.weight") })
    let other = try #require(names.first { $0.text.hasSuffix("layers.0.self_attn.k_proj.weight") })
    let quantizer = try SequentialQuantizer(
      checked, targets: [name: SequentialQuantizer.Target(encoding: encoding, method: .search)],
      sample: CalibrationSample(Array(0..<64), windows: 2, context: 32, seed: 0),
      options: Model.Options(kernel: .best, workers: Workers(count: 2)), progress: { _ in })
    #expect(try quantizer.take(name).tensor.encoding == encoding)
    for missing in [name, other] {
      #expect(
        throws: CalibrationError.notThere(
          model: checked.checkpoint.path.string, name: missing.text)
      ) { try quantizer.take(missing) }
    }
  }

  @Test func `outputs are nearer to the original than with the least squared error`() throws {
    try TemporaryFolder.with { folder in
      let search = try #require(
        try pack(to: folder.path.appending("search.kiln"), method: .search).evidence)
      let feedback = try #require(try pack(to: folder.path.appending("gptq.kiln")).evidence)
      for role in [TensorRole.kdaProjection, .routedExpert, .sharedExpert] {
        let before = try #require(search.outputErrors[role]).relative
        let after = try #require(feedback.outputErrors[role]).relative
        #expect(after < 0.9 * before, "\(role)")
      }
    }
  }

  @Test func `threads change no byte, and the evidence is in the file`() throws {
    try TemporaryFolder.with { folder in
      let files = try [1, 2].map { threads -> [UInt8] in
        let path = folder.path.appending("\(threads).kiln")
        _ = try pack(to: path, threads: threads)
        let file = try MappedFile(path)
        let bytes = file.bytes
        return bytes.copy()
      }
      #expect(files[0] == files[1])
      let checkpoint = try Checkpoint(folder.path.appending("1.kiln"))
      let calibration = checkpoint.calibration
      #expect(calibration["sample"]?["tokens"] == .integer(6 * 48))
      guard case .array(let layers)? = calibration["experts"] else {
        Issue.record("no coverage")
        return
      }
      #expect(!layers.isEmpty)
      // Packing again, without quantizing, keeps it.
      try pack(
        folder.path.appending("1.kiln"), to: folder.path.appending("again.kiln"))
      let again = try Checkpoint(folder.path.appending("again.kiln"))
      #expect(again.calibration == calibration)
    }
  }

  private func pack(_ source: FilePath, to output: FilePath) throws {
    let plan = try PackingPlan(
      try CheckedCheckpoint(try Checkpoint(source)), recipe: nil, producer: "kiln test")
    _ = try Packing(plan, workers: Workers(count: 1)).run(
      to: output, replacing: false, progress: { _ in })
  }

  @Test func `experts that no token reaches are rounded all the same`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x.kiln")
      let evidence = try #require(try pack(to: path, windows: 1, context: 2).evidence)
      #expect(evidence.coverage.contains { $0.unseenCount > 0 })
      // What has no tokens of its own goes by those of its layer; only the embedding has no inputs.
      #expect(evidence.notes.map(\.name) == ["model.embed_tokens.weight"])
      for stored in try Checkpoint(path).storedTensors {
        let tensor = try stored.load(workers: Workers(count: 1))
        #expect(widened(tensor).allSatisfy { $0.isFinite }, "\(stored.name)")
      }
    }
  }

  @Test func `without a text it is refused`() throws {
    let checked = try CheckedCheckpoint(try Checkpoint(Fixtures.nano))
    #expect {
      try PackingPlan(
        checked, recipe: try recipe("int4-g32", method: .gptq), producer: "kiln test")
    } throws: { error in
      guard case ConversionError.needsCalibration = error else { return false }
      return true
    }
  }
}

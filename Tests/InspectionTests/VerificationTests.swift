// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Inspection
import JSON
import Kernels
import KilnFormat
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

@Suite struct VerificationTests {
  private func pack(_ folder: TemporaryFolder) throws -> FilePath {
    let path = folder.path.appending("nano.kiln")
    let recipe = Recipe(
      defaultFor: .quantized(bits: 4, group: .size(32)), method: .roundToNearest)
    let plan = try PackingPlan(
      CheckedCheckpoint(Checkpoint(Fixtures.nano)), recipe: recipe, producer: "test")
    _ = try Packing(plan, workers: Workers(count: 2)).run(
      to: path, replacing: true, progress: { _ in })
    return path
  }

  private func verify(_ path: FilePath) throws -> [Verification.Finding] {
    try Verification(
      Checkpoint(path), workers: Workers(count: 2), progress: { _ in }
    ).findings
  }

  @Test func `a sound checkpoint has no findings in any form`() throws {
    #expect(try verify(Fixtures.nano) == [])
    try TemporaryFolder.with { folder in
      let findings = try verify(pack(folder))
      #expect(findings == [])
    }
  }

  @Test func `one flipped bit anywhere in the data is found, and named`() throws {
    try TemporaryFolder.with { folder in
      let path = try pack(folder)
      let bytes = try folder.read("nano.kiln")
      let file = try KilnFile(path)
      var generator = SeededGenerator(seed: 19)
      var places = (0..<60).map { _ in
        Int.random(in: file.dataOffset..<bytes.count, using: &generator)
      }
      places += [file.dataOffset, bytes.count - 1] + file.paddings.prefix(20).map(\.lowerBound)
      for place in places {
        var damaged = bytes
        damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        try folder.write(damaged, as: "damaged.kiln")
        let findings = try verify(folder.path.appending("damaged.kiln"))
        let entry = file.header.tensors.first { $0.extent.range.contains(place) }?.name.text
        let subject = entry ?? file.header.files.first { $0.extent.range.contains(place) }?.name
        #expect(!findings.isEmpty, "byte \(place)")
        if let subject { #expect(findings.first?.subject == subject) }
      }
    }
  }

  @Test func `values that are not finite are counted by tensor`() throws {
    try TemporaryFolder.with { folder in
      for name in try FolderListing.entries(of: Fixtures.nano) {
        let file = try MappedFile(Fixtures.nano.appending(name))
        try folder.write(file.bytes.copy(), as: "model/\(name)")
      }
      let model = folder.path.appending("model")
      let stored = try #require(
        Checkpoint(model).storedTensors.first {
          $0.name == "model.layers.1.self_attn.q_proj.weight"
        })
      var bytes = try folder.read("model/model.safetensors")
      let start = try stored.load(workers: Workers(count: 1)).region.range.lowerBound
      // BF16, little-endian: a NaN, both infinities, and the largest finite number.
      bytes.replaceSubrange(
        start..<start + 8, with: [0xC0, 0x7F, 0x80, 0x7F, 0x80, 0xFF, 0x7F, 0x7F])
      try folder.write(bytes, as: "model/model.safetensors")
      let findings = try verify(model)
      #expect(
        findings == [
          Verification.Finding(
            subject: "model.layers.1.self_attn.q_proj.weight",
            problem: "1 NaN and 2 infinite values"
          )
        ])
    }
  }

  @Test func `scales are finite and not 0, wherever they lie`() throws {
    try TemporaryFolder.with { folder in
      // One scale across the border of two blocks: it is counted once.
      let codes = [UInt8](repeating: 0x81, count: ScratchPackedFile.blockByteCount - 1)
      var file = ScratchPackedFile()
      file.add("nan", "int8-row", [1, codes.count], codes + [0xC0, 0x7F])
      file.add("infinite", "int8-row", [1, codes.count], codes + [0x80, 0xFF])
      file.add("zero", "int8-row", [1, codes.count], codes + [0x00, 0x80])
      file.add("sound", "int8-row", [1, codes.count], codes + [0x80, 0x3F])
      file.add(
        "all", "int4-g32", [2, 64],
        [UInt8](repeating: 0xFF, count: 64) + [0x80, 0x7F, 0, 0, 0x80, 0x7F, 0x01, 0x00])
      let path = try file.write(to: folder)
      let findings = try verify(path).filter { $0.subject != "model" }
      #expect(
        findings == [
          finding("nan", "1 NaN and 0 infinite scales"),
          finding("infinite", "0 NaN and 1 infinite scales"),
          finding("zero", "1 scales are 0, which a scale never is"),
          finding("all", "0 NaN and 2 infinite scales"),
          finding("all", "1 scales are 0, which a scale never is"),
        ])
    }
  }

  @Test func `findings of many blocks are in the order of the file, for any number of threads`()
    throws
  {
    try TemporaryFolder.with { folder in
      let block = ScratchPackedFile.blockByteCount
      var file = ScratchPackedFile()
      file.files = [("config.json", Array("{}".utf8)), ("notes.txt", [1, 2, 3])]
      for name in ["a", "b", "c"] {
        file.add(name, "f32", [block], [UInt8](repeating: 0x3F, count: 4 * block))
      }
      let path = try file.write(to: folder)
      let header = try KilnFile(path).header
      let notes = header.files[1].extent.range
      let ranges = header.tensors.map(\.extent.range)
      try folder.patch("x.kiln", at: notes.lowerBound, with: 9)
      try folder.patch("x.kiln", at: notes.upperBound, with: 1)
      // Two blocks of the second tensor; a NaN in the last number of the third.
      try folder.patch("x.kiln", at: ranges[1].lowerBound + block, with: 1)
      try folder.patch("x.kiln", at: ranges[1].upperBound - 1, with: 1)
      try folder.patch("x.kiln", at: ranges[2].upperBound - 1, with: 0x7F)
      try folder.patch("x.kiln", at: ranges[2].upperBound - 2, with: 0xFF)
      let expected = [
        finding(
          "notes.txt",
          "checksum does not match in 1 of 1 blocks, first at byte \(notes.lowerBound)"),
        finding("padding at byte \(notes.upperBound)", "is not 0"),
        finding(
          "b",
          "checksum does not match in 2 of 4 blocks, first at byte \(ranges[1].lowerBound + block)"),
        finding(
          "c",
          "checksum does not match in 1 of 4 blocks, first at byte"
            + " \(ranges[2].lowerBound + 3 * block)"),
        finding("c", "1 NaN and 0 infinite values"),
      ]
      for threads in [1, 2, 8] {
        let verification = try Verification(
          Checkpoint(path), workers: Workers(count: threads), progress: { _ in })
        #expect(verification.fileFindings + verification.tensorFindings == expected)
        #expect(verification.modelFindings.map(\.subject) == ["model"])
        #expect(verification.tensorCount == 3 && verification.byteCount == 12 * block)
      }
    }
  }

  @Test func `what the configuration implies is missing, or has another shape, or is too much`()
    throws
  {
    let sound = TinyCheckpoint()
    let expert = "model.layers.1.block_sparse_moe.experts"
    func findings(_ change: (inout [TinyTensor]) throws -> Void) throws -> [Verification.Finding] {
      try TemporaryFolder.with { folder in
        var tensors = sound.tensors
        try change(&tensors)
        return try verify(sound.write(to: folder, tensors: tensors))
      }
    }
    #expect(try findings { _ in } == [])
    let missing = try findings { $0.removeAll { $0.name == "\(expert).3.w2.weight" } }
    #expect(missing.map(\.subject) == ["model"])
    #expect(missing.first?.problem.contains("\(expert).3.w2.weight\" [64, 32] is missing") == true)
    let shape = try findings { tensors in
      let index = try #require(tensors.firstIndex { $0.name == "\(expert).0.w1.weight" })
      tensors[index].shape = [64, 32]
    }
    #expect(shape.first?.problem.contains("has shape [64, 32], expected [32, 64]") == true)
    let extra = try findings { tensors in
      var tensor = try #require(tensors.first { $0.name == "\(expert).0.w1.weight" })
      tensor.name = "\(expert).4.w1.weight"
      tensors.append(tensor)
    }
    #expect(extra.first?.problem.contains("\(expert).4.w1.weight") == true)
    try TemporaryFolder.with { folder in
      let broken = try sound.write(to: folder, configuration: ["hidden_size": 64])
      #expect(try verify(broken).map(\.subject) == ["model"])
    }
  }

  @Test func `tensors that are not part of the architecture are no finding, but known`() throws {
    try TemporaryFolder.with { folder in
      let checkpoint = TinyCheckpoint()
      let unknown = TinyTensor(name: "vision.weight", dtype: .u8, shape: [2], bytes: [1, 2])
      let path = try checkpoint.write(to: folder, tensors: checkpoint.tensors + [unknown])
      let verification = try Verification(
        Checkpoint(path), workers: Workers(count: 2), progress: { _ in })
      #expect(verification.findings == [])
      #expect(verification.model?.unknownTensors == ["vision.weight"])
    }
  }

  @Test func `a file that becomes shorter meanwhile is an error`() throws {
    try TemporaryFolder.with { folder in
      let path = try pack(folder)
      let checkpoint = try Checkpoint(path)
      try folder.extend("nano.kiln", to: 1 << 20)
      #expect(throws: FileError.self) {
        try Verification(checkpoint, workers: Workers(count: 2), progress: { _ in })
      }
    }
  }

  private func finding(_ subject: String, _ problem: String) -> Verification.Finding {
    Verification.Finding(subject: subject, problem: problem)
  }
}

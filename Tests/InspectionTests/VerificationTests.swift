// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Inspection
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
}

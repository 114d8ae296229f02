// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What is found about the tensors of two checkpoints.
@Suite struct ModelComparisonTests {
  private let scene = ComparedCheckpoints()

  // MARK: - The same

  @Test(arguments: TinyCheckpoint.variants)
  func `there and back again is identical, whatever the dialect`(checkpoint: TinyCheckpoint) throws
  {
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder)
      let packed = try scene.pack(source, folder, as: "x.kiln")
      let back = try scene.export(packed, folder, as: "back")
      for pair in [(source, packed), (packed, back), (source, back), (source, source)] {
        let comparison = try scene.compare(pair.0, pair.1)
        #expect(comparison.verdict == .identical && scene.verdicts(comparison) == [.identical])
        #expect(comparison.fileFindings == [])
      }
      guard checkpoint.dialect == .released else { return }
      let other = try checkpoint.inDialect(.transformers).write(
        to: folder, as: "other", configuration: checkpoint.configuration)
      let comparison = try scene.compare(source, other)
      #expect(comparison.verdict == .identical && scene.verdicts(comparison) == [.identical])
    }
  }

  @Test func `the same values in a wider type are equal`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.changed(folder, as: "source") { tensor in
        tensor.bytes.replaceSubrange(0..<6, with: [0xC1, 0x7F, 0x80, 0xFF, 0x00, 0x80])
      }
      let wide = try scene.changed(folder, as: "wide") { tensor in
        tensor.bytes.replaceSubrange(0..<6, with: [0xC0, 0xFF, 0x80, 0xFF, 0x00, 0x00])
        tensor.dtype = .f32
        tensor.bytes = stride(from: 0, to: tensor.bytes.count, by: 2).flatMap {
          [0, 0, tensor.bytes[$0], tensor.bytes[$0 + 1]]
        }
      }
      let comparison = try scene.compare(source, wide)
      #expect(comparison.verdict == .equal && scene.verdicts(comparison) == [.identical, .equal])
      #expect(try scene.tensor(comparison).verdict == .equal)
    }
  }

  @Test(
    arguments: TensorEncoding.schemeNames.filter { $0.hasPrefix("int") },
    RoundingMethod.allCases.filter { !$0.needsCalibration })
  func `what was quantized is within the bound, and equal to what is exported of it`(
    scheme: String, method: RoundingMethod
  ) throws {
    try TemporaryFolder.with { folder in
      // Constant rows, rows of zeros, one outlier, extreme magnitudes, and numbers that are none.
      let source = try scene.changed(folder, as: "source") { tensor in
        func set(_ row: Int, _ value: (Int) -> Float) {
          for column in 0..<128 {
            let bits = BFloat16(value(column)).bitPattern.littleEndianBytes
            let place = 2 * (128 * row + column)
            tensor.bytes.replaceSubrange(place..<place + 2, with: bits)
          }
        }
        set(0) { _ in 0.3 }
        set(1) { _ in 0 }
        set(2) { $0 == 77 ? -40 : 0.01 * Float($0 % 9) }
        set(3) { 3e38 * (Float($0) / 64 - 1) }
        set(4) { 0x1p-130 * (Float($0) / 64 - 1) }
        set(5) { $0 == 9 ? .nan : $0 == 90 ? -.infinity : Float($0) }
      }
      let quantized = try scene.pack(source, folder, as: "x.kiln", scheme: scheme, method: method)
      let comparison = try scene.compare(quantized, source)
      #expect(comparison.verdict == .bound && comparison.rounded == .left)
      #expect(comparison.roundedEncodings.contains(scheme))
      #expect(scene.verdicts(comparison) == [.identical, .withinBound])
      #expect(comparison.tensors.allSatisfy { $0.tally.worstRatio <= 1 })
      let changed = try scene.tensor(comparison)
      #expect(changed.tally.replacedCount == 2)
      #expect(changed.tally.worstRatio > 0.9)
      for threads in [1, 8] {
        let other = try scene.compare(quantized, source, threads: threads)
        #expect(other.tensors == comparison.tensors)
      }
      let back = try scene.compare(source, quantized)
      #expect(back.tensors.map(\.tally) == comparison.tensors.map(\.tally))
      #expect(back.verdict == .bound && back.rounded == .right)

      let exact = try scene.compare(quantized, scene.export(quantized, folder, as: "f32"))
      #expect(exact.verdict == .equal && scene.verdicts(exact) == [.identical, .equal])
      // The codes are what is exact here: BF16 was rounded from their values.
      let rounded = try scene.compare(
        quantized, scene.export(quantized, folder, as: "bf16", dtype: .bf16))
      #expect(rounded.verdict == .bound && rounded.rounded == .right)
      #expect(rounded.roundedEncodings == ["bf16"])
    }
  }

  @Test func `float32 that was rounded to BF16 is within its bound`() throws {
    try TemporaryFolder.with { folder in
      var wide = scene.checkpoint
      wide.dtype = .f32
      let source = try wide.write(to: folder)
      let rounded = try scene.pack(source, folder, as: "x.kiln", scheme: "bf16")
      let comparison = try scene.compare(source, rounded)
      #expect(comparison.verdict == .bound && comparison.rounded == .right)
      #expect(comparison.roundedEncodings == ["bf16"])
      #expect(comparison.tensors.allSatisfy { $0.tally.worstRatio <= 1 })
    }
  }

  // MARK: - Not the same

  @Test func `one changed weight is found, with its place`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let place = 128 * 3 + 17
      let other = try scene.changed(folder, as: "other") { $0.bytes[2 * place] ^= 1 }
      let comparison = try scene.compare(source, other)
      let found = try scene.tensor(comparison)
      #expect(
        comparison.verdict == .different
          && comparison.tensors.count { $0.verdict.isDifference } == 1)
      #expect(found.verdict == .different && found.tally.differingCount == 1)
      #expect(found.position(of: try #require(found.tally.firstDiffering)) == [3, 17])
      #expect(found.tally.largestDifference > 0 && found.tally.largestDifferenceElement == place)
      // Against codes it takes more than half a step.
      let quantized = try scene.pack(source, folder, as: "x.kiln", scheme: "int8-g32")
      let far = try scene.changed(folder, as: "far") { $0.bytes[2 * place + 1] ^= 0x80 }
      let beyond = try scene.tensor(scene.compare(quantized, far))
      #expect(beyond.verdict == .different && beyond.tally.firstDiffering == place)
      #expect(beyond.tally.worstRatio > 1)
    }
  }

  @Test(
    arguments: ["int4-g32", "int4-row", "int8-g128", "int8-row"],
    RoundingMethod.allCases.filter { !$0.needsCalibration })
  func `a changed code or scale is found`(scheme: String, method: RoundingMethod) throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let sound = try scene.pack(source, folder, as: "x.kiln", scheme: scheme, method: method)
      let bytes = try folder.read("x.kiln")
      let stored = try #require(Checkpoint(sound).storedTensors.first { $0.name == scene.name })
      let encoded = try #require(stored.inPlace)
      let start = encoded.region.range.lowerBound
      // The lowest bit of a code: one step. The lowest bits of an exponent: a factor of two.
      for (place, bit) in [(0, 0), (700, 0), (encoded.codeByteCount, 7)] {
        var damaged = bytes
        damaged[start + place] ^= 1 << UInt8(bit)
        let path = try folder.write(damaged, as: "damaged.kiln")
        for other in [source, sound] {
          let comparison = try scene.compare(path, other)
          let found = try scene.tensor(comparison)
          #expect(comparison.verdict == .different && found.verdict == .different, "byte \(place)")
          #expect(comparison.tensors.count { $0.verdict.isDifference } == 1)
          if bit == 0 { #expect(found.tally.differingCount == 1) }
        }
      }
    }
  }

  @Test func `missing and extra tensors, other shapes and other types`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      var tensors = scene.checkpoint.tensors.filter { $0.name != scene.name.text }
      let norm = try #require(tensors.firstIndex { $0.name == "model.norm.weight" })
      tensors[norm].shape = [2, 64]
      tensors.append(TinyTensor(name: "a", dtype: .u8, shape: [3], bytes: [1, 2, 3]))
      let other = try scene.checkpoint.write(to: folder, as: "other", tensors: tensors)
      let comparison = try scene.compare(source, other)
      let found = comparison.tensors.filter { $0.verdict.isDifference }
      #expect(found.map(\.verdict) == [.extra, .shape, .missing])
      #expect(found.map(\.name) == [scene.name, "model.norm.weight", "a"])
      tensors[tensors.count - 1].bytes[1] = 7
      let third = try scene.checkpoint.write(to: folder, as: "third", tensors: tensors)
      let bytes = try #require(scene.compare(other, third).tensors.first { $0.name == "a" })
      #expect(bytes.verdict == .different && bytes.tally.firstDiffering == 1)
      tensors[tensors.count - 1].dtype = .i8
      let fourth = try scene.checkpoint.write(to: folder, as: "fourth", tensors: tensors)
      let types = try #require(scene.compare(third, fourth).tensors.first { $0.name == "a" })
      #expect(types.verdict == .different && types.tally.differingCount == 3)
    }
  }

  @Test func `configuration by meaning, tokenizer by bytes`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      guard case .object(var members) = scene.checkpoint.configuration else { return }
      members.reverse()
      let same = try scene.checkpoint.write(to: folder, as: "same", configuration: .object(members))
      #expect(try scene.compare(source, same).verdict == .identical)
      members.removeAll { $0.key == "hidden_act" || $0.key == "hidden_size" }
      members.append(JSONMember(key: "hidden_size", value: 129))
      members.append(JSONMember(key: "new", value: [1, 2]))
      let other = try scene.checkpoint.write(
        to: folder, as: "other", configuration: .object(members))
      try folder.write("aQ== 1\n", as: "other/tiktoken.model")
      try folder.write("{}", as: "other/tokenizer.json")
      let comparison = try scene.compare(source, other)
      #expect(comparison.verdict == .different && scene.verdicts(comparison) == [.identical])
      let findings = comparison.fileFindings.map { "\($0.subject) \($0.problem)" }
      #expect(findings.contains("config.json \"hidden_size\" is 128, against 129"))
      #expect(findings.contains("config.json \"new\" is missing, against [1,2]"))
      #expect(findings.contains("tiktoken.model has other bytes"))
      #expect(findings.contains("tokenizer.json is not in \(source)"))
    }
  }
}

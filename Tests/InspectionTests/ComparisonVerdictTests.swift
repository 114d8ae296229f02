// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What two checkpoints are to each other as a whole.
@Suite struct ComparisonVerdictTests {
  private let scene = ComparedCheckpoints()

  // MARK: - Rounding

  @Test(
    arguments: [
      "model.layers.0.self_attn.A_log", "model.layers.0.self_attn.dt_bias",
      "model.layers.1.block_sparse_moe.gate.e_score_correction_bias",
    ])
  func `a protected tensor that was rounded to BF16 differs`(name: String) throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let rounded = try scene.changed(folder, as: "rounded", tensor: name) { $0.convert(to: .bf16) }
      let comparison = try scene.compare(rounded, source)
      #expect(comparison.verdict == .different)
      let found = try scene.tensor(comparison, ExactString(name))
      #expect(found.verdict == .different && found.tally.differingCount > 0)
      #expect(comparison.tensors.count { $0.verdict.isDifference } == 1)
    }
  }

  @Test(
    arguments: [
      "model.norm.weight", "model.layers.1.self_attn.f_a_proj.weight", "vision.weight",
    ])
  func `no scheme is a bound for a norm, a gate or an unknown tensor`(name: String) throws {
    try TemporaryFolder.with { folder in
      var wide = scene.checkpoint
      wide.dtype = .f32
      var tensors = wide.tensors
      tensors.append(
        TinyTensor(
          name: "vision.weight", dtype: .f32, shape: [2],
          bytes: [Float(0.1), 0.2].flatMap { $0.bitPattern.littleEndianBytes }))
      let source = try wide.write(to: folder, as: "source", tensors: tensors)
      let index = try #require(tensors.firstIndex { $0.name == name })
      tensors[index].convert(to: .bf16)
      let rounded = try wide.write(to: folder, as: "rounded", tensors: tensors)
      #expect(try scene.compare(rounded, source).verdict == .different)
    }
  }

  @Test func `a protected tensor in a wider type is equal`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let wide = try scene.changed(folder, as: "wide", tensor: "model.norm.weight") {
        $0.convert(to: .f32)
      }
      #expect(try scene.compare(source, wide).verdict == .equal)
    }
  }

  @Test func `float32 that was rounded to F16 differs: that is no scheme`() throws {
    try TemporaryFolder.with { folder in
      let wide = try scene.changed(folder, as: "wide") { tensor in
        tensor.convert(to: .f32)
        tensor.bytes.replaceSubrange(0..<4, with: Float(0.1).bitPattern.littleEndianBytes)
      }
      let narrow = try scene.changed(folder, as: "narrow") { tensor in
        tensor.convert(to: .f32)
        tensor.bytes.replaceSubrange(0..<4, with: Float(0.1).bitPattern.littleEndianBytes)
        tensor.convert(to: .f16)
      }
      let comparison = try scene.compare(narrow, wide)
      #expect(comparison.verdict == .different)
      #expect(try scene.tensor(comparison).tally.firstDiffering == 0)
    }
  }

  @Test func `a finite number that became an infinity is within no bound`() throws {
    try TemporaryFolder.with { folder in
      let wide = try scene.changed(folder, as: "wide") { tensor in
        tensor.convert(to: .f32)
        tensor.bytes.replaceSubrange(
          0..<4, with: Float.greatestFiniteMagnitude.bitPattern.littleEndianBytes)
      }
      let narrow = try scene.changed(folder, as: "narrow") { tensor in
        tensor.bytes.replaceSubrange(0..<2, with: [0x80, 0x7F])
      }
      #expect(try scene.compare(narrow, wide).verdict == .different)
    }
  }

  // MARK: - Quantizations

  @Test func `two quantizations of one source differ`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let first = try scene.pack(source, folder, as: "a.kiln", scheme: "int4-g32")
      for (index, (scheme, method)) in [
        ("int4-g32", RoundingMethod.search), ("int4-g64", .roundToNearest),
        ("int8-g32", .roundToNearest),
      ].enumerated() {
        let other = try scene.pack(
          source, folder, as: "\(index).kiln", scheme: scheme, method: method)
        let comparison = try scene.compare(first, other)
        #expect(comparison.verdict == .different, "\(scheme) \(method)")
        #expect(try scene.tensor(comparison).verdict == .different)
        #expect(try scene.compare(other, other).verdict == .identical)
      }
    }
  }

  @Test func `the same values in codes of more bits are equal`() throws {
    try TemporaryFolder.with { folder in
      let name = "model.layers.0.mlp.up_proj.weight"
      let codes = (0..<64).map { $0 % 16 - 8 }
      let scales: [UInt8] = [0x80, 0x3F, 0x00, 0x3F]
      var (narrow, wide, halved) = (ScratchPackedFile(), ScratchPackedFile(), ScratchPackedFile())
      let nibbles = stride(from: 0, to: 64, by: 2).map { index in
        UInt8(codes[index] + 8) | UInt8(codes[index + 1] + 8) << 4
      }
      narrow.add(name, "int4-g32", [1, 64], nibbles + scales)
      wide.add(name, "int8-g32", [1, 64], codes.map { UInt8($0 + 128) } + scales)
      // Half the scale and twice the code are the same value, too.
      halved.add(
        name, "int8-row", [1, 64],
        codes.enumerated().map { UInt8($1 * ($0 < 32 ? 2 : 1) + 128) } + [0x00, 0x3F])
      let path = try narrow.write(to: folder, as: "narrow.kiln")
      for (index, file) in [wide, halved].enumerated() {
        let other = try file.write(to: folder, as: "\(index).kiln")
        let comparison = try scene.compare(path, other)
        #expect(comparison.verdict == .equal && scene.verdicts(comparison) == [.equal])
      }
    }
  }

  @Test func `models that are each rounded in places are no rounding of each other`() throws {
    try TemporaryFolder.with { folder in
      let name = "model.layers.1.block_sparse_moe.experts.1.w1.weight"
      var scene = scene
      scene.checkpoint.dtype = .f32
      let left = try scene.changed(folder, as: "left") { $0.convert(to: .bf16) }
      let right = try scene.changed(folder, as: "right", tensor: name) { $0.convert(to: .bf16) }
      let comparison = try scene.compare(left, right)
      #expect(scene.verdicts(comparison) == [.identical, .withinBound])
      #expect(comparison.verdict == .different && comparison.isRoundedOnBothSides)
      #expect(comparison.rounded == nil)
    }
  }

  // MARK: - Layout

  @Test func `a head that is stored although it is tied is compared with the embedding`() throws {
    try TemporaryFolder.with { folder in
      var scene = scene
      scene.checkpoint.tiesEmbeddings = true
      let tied = try scene.checkpoint.write(to: folder, as: "tied")
      var tensors = scene.checkpoint.tensors
      var head = try #require(tensors.first { $0.name == "model.embed_tokens.weight" })
      head.name = "lm_head.weight"
      tensors.append(head)
      let stored = try scene.checkpoint.write(to: folder, as: "stored", tensors: tensors)
      for (left, right) in [(stored, tied), (tied, stored)] {
        let comparison = try scene.compare(left, right)
        #expect(comparison.verdict == .equal)
        #expect(comparison.fileNotes.map(\.subject) == ["lm_head.weight"])
      }
      tensors[tensors.count - 1].bytes[1] ^= 1
      let other = try scene.checkpoint.write(to: folder, as: "other", tensors: tensors)
      #expect(try scene.compare(other, tied).verdict == .different)
    }
  }

  @Test func `a head on one side only differs where heads are not tied`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let without = try scene.checkpoint.write(
        to: folder, as: "without",
        tensors: scene.checkpoint.tensors.filter { $0.name != "lm_head.weight" })
      #expect(try scene.compare(source, without).verdict == .different)
    }
  }

  @Test func `an embedding that is padded to more rows differs`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let padded = try scene.changed(folder, as: "padded", tensor: "model.embed_tokens.weight") {
        $0.bytes += [UInt8](repeating: 0, count: 2 * 32 * $0.shape[1])
        $0.shape[0] += 32
      }
      let comparison = try scene.compare(source, padded)
      #expect(comparison.verdict == .different)
      #expect(try scene.tensor(comparison, "model.embed_tokens.weight").verdict == .shape)
    }
  }

  @Test func `a lone file is compared by its tensors, and it is said what was not compared`() throws
  {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let lone = try folder.write(
        TinyTensor.file(scene.checkpoint.tensors), as: "lone/a.safetensors")
      let comparison = try scene.compare(source, lone)
      #expect(comparison.verdict == .identical && comparison.fileFindings == [])
      #expect(comparison.fileNotes.contains { $0.subject == "config.json" })
    }
  }

  // MARK: - Configuration and tokenizer

  @Test func `the same configuration for transformers is equal, and another one differs`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      var other = scene.checkpoint.inDialect(.transformers)
      let same = try other.write(to: folder, as: "other")
      #expect(try scene.compare(source, same).verdict == .equal)
      other.expertsPerToken = 1
      let changed = try other.write(to: folder, as: "changed")
      #expect(try scene.compare(source, changed).verdict == .different)
      // What no dialect knows may change what the model computes, so it is no matter of dialect.
      let successor = try scene.checkpoint.inDialect(.transformers).write(
        to: folder, as: "successor",
        configuration: scene.checkpoint.inDialect(.transformers).configuration
          .setting("gate_lower_bound", to: .number(-5)))
      #expect(try scene.compare(source, successor).verdict == .different)
    }
  }

  @Test func `keys about the file make no other model, others do`() throws {
    try TemporaryFolder.with { folder in
      let configuration = scene.checkpoint.configuration.setting("dtype", to: "bfloat16")
      let source = try scene.checkpoint.write(to: folder, configuration: configuration)
      let exported = try scene.checkpoint.write(
        to: folder, as: "exported",
        configuration: configuration.setting("dtype", to: "float32")
          .setting("transformers_version", to: "5.0.0"))
      let comparison = try scene.compare(source, exported)
      #expect(comparison.verdict == .equal && comparison.fileFindings == [])
      #expect(
        comparison.fileNotes.first?.problem.hasPrefix(
          "\"dtype\" is \"bfloat16\", against \"float32\"") == true)
      let other = try scene.checkpoint.write(
        to: folder, as: "other",
        configuration: configuration.setting("rms_norm_eps", to: .number(1e-6)))
      #expect(try scene.compare(source, other).verdict == .different)
    }
  }

  @Test func `a tokenizer by its meaning: line ends and the order of keys do not count`() throws {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let other = try scene.checkpoint.write(to: folder, as: "other")
      try folder.write("aQ== 0\r\n", as: "other/tiktoken.model")
      try folder.write("{\r\n}", as: "other/tokenizer_config.json")
      try folder.write("not free", as: "other/LICENSE")
      let comparison = try scene.compare(source, other)
      #expect(comparison.verdict == .identical && comparison.fileFindings == [])
      #expect(comparison.fileNotes.map(\.subject) == ["tiktoken.model", "LICENSE"])
      try folder.write("{\"eos_token\": \"x\"}", as: "other/tokenizer_config.json")
      let findings = try scene.compare(source, other).fileFindings
      #expect(findings.map(\.subject) == ["tokenizer_config.json"])
    }
  }
}

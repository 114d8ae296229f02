// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Models whose numbers are not finite: nothing is measured with them, and the tensor is named.
@Suite("Models that are not finite")
struct NonFiniteModelTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private static let calibration =
    ["--calibration", "text.txt", "--calibration-context", "32", "--calibration-windows", "2"]

  /// Commands that run the model.
  private static let calibrating: [[String]] = [
    ["quantize", "model", "x.kiln", "--scheme", "int4-g32", "--method", "gptq"],
    ["quantize", "model", "x.kiln", "--scheme", "int4-g32", "--method", "search"],
    ["quantize", "model", "x.kiln", "--target-bpw", "6", "--method", "search"],
    ["calibrate", "model", "saved"],
  ].map { $0 + calibration }

  /// A copy of nano in which some numbers of one tensor are others.
  ///
  /// - Parameters:
  ///   - name: The tensor, in BF16 or F32.
  ///   - value: What they become.
  ///   - range: Which of its elements; all if nil.
  /// - Throws: If the checkpoint is not as expected.
  private func write(_ name: String, _ value: Float, at range: Range<Int>? = nil) throws {
    try scratch.nano(changing: "model.safetensors")
    var file = try TensorFile(scratch.url("model/model.safetensors"))
    let entry = try #require(file.header[name] as? [String: Any])
    let width = try #require(["BF16": 2, "F32": 4][entry["dtype"] as? String ?? ""])
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
    let place = try file.range(name)
    for index in range ?? 0..<place.count / width {
      let start = file.data.startIndex + place.lowerBound + index * width
      file.data.replaceSubrange(start..<start + width, with: bytes.suffix(width))
    }
    try file.write(to: scratch.url("model/model.safetensors"))
  }

  @Test(
    "NaN and infinities in what the model runs through are refused by name",
    arguments: [
      ("model.layers.0.self_attn.A_log", Float.nan, "1 NaN and 0 infinite"),
      ("model.layers.1.input_layernorm.weight", .infinity, "0 NaN and 1 infinite"),
      ("model.layers.1.block_sparse_moe.experts.0.w2.weight", .nan, "1 NaN and 0 infinite"),
      ("lm_head.weight", -.infinity, "0 NaN and 1 infinite"),
    ])
  func weights(name: String, value: Float, counts: String) throws {
    try write(name, value, at: 1..<2)
    for command in Self.calibrating {
      let result = try expectFailure(
        command, Code.badData, naming: "model:", name, counts, in: scratch)
      #expect(!result.errors.contains("no calibration token"))
    }
    // Without a text nothing is computed with them: they are counted.
    let plain = try expectSuccess(
      ["quantize", "model", "x.kiln", "--scheme", "int4-g32"], in: scratch.folder)
    #expect(plain.warnings.contains { $0.contains(name) && $0.contains(counts) })
  }

  @Test("the first in the order of the model is named, and how many others there are")
  func several() throws {
    try write("model.layers.2.self_attn.o_norm.weight", .nan, at: 0..<3)
    try FileManager.default.moveItem(at: scratch.url("model"), to: scratch.url("first"))
    try scratch.copy(scratch.url("first"), as: "model", changing: ["model.safetensors"])
    var file = try TensorFile(scratch.url("model/model.safetensors"))
    try file.poke("model.layers.0.input_layernorm.weight", [0x80, 0x7F])
    try file.write(to: scratch.url("model/model.safetensors"))
    for command in Self.calibrating.prefix(1) + [["perplexity", "model", "--text", "text.txt"]] {
      try expectFailure(
        command, Code.badData, naming: "model.layers.0.input_layernorm.weight",
        "1 other tensor", in: scratch)
    }
  }

  @Test("what cannot be scored or generated is told with the tensor")
  func running() throws {
    try write("model.layers.0.self_attn.A_log", .nan, at: 1..<2)
    for command in [
      ["perplexity", "model", "--text", "text.txt"], ["generate", "model", "--prompt", "The"],
    ] {
      try expectFailure(
        command, Code.badData, naming: "model.layers.0.self_attn.A_log", "1 NaN", in: scratch)
    }
  }

  @Test(
    "small tensors that would leave the figures plausible are refused before the model is run",
    arguments: [
      ("model.layers.1.block_sparse_moe.gate.weight", Float.nan),
      ("model.layers.1.block_sparse_moe.gate.weight", -.infinity),
      ("model.layers.1.block_sparse_moe.gate.e_score_correction_bias", .nan),
      ("model.layers.1.block_sparse_moe.gate.e_score_correction_bias", -.infinity),
      ("model.layers.0.self_attn.dt_bias", .infinity),
      ("model.layers.0.self_attn.A_log", -.infinity),
      ("model.layers.0.self_attn.k_conv1d.weight", .nan),
      ("model.layers.0.self_attn.g_a_proj.weight", .infinity),
      ("model.norm.weight", .infinity),
    ])
  func smallTensors(name: String, value: Float) throws {
    try write(name, value, at: 3..<4)
    for command in [
      ["perplexity", "model", "--text", "text.txt"],
      ["perplexity", Fixture.nano.path, "--text", "text.txt", "--against", "model"],
      ["generate", "model", "--prompt", "The"],
      ["bench", "model", "--only", "decode", "--repeats", "1", "--context", "8"],
    ] {
      let result = try expectFailure(
        command, Code.badData, naming: "model: tensor \"\(name)\" has", "means nothing", in: scratch
      )
      #expect(result.output.isEmpty)
    }
  }

  @Test("activations that overflow from finite weights are refused with their place")
  func activations() throws {
    try write("model.layers.1.input_layernorm.weight", 3e38)
    for command in Self.calibrating {
      let result = try expectFailure(
        command, Code.badData, naming: "layer", "not finite", "all weights are", in: scratch)
      #expect(result.errors.contains("layers.1") || result.errors.contains("layer 1"))
    }
    try expectFailure(
      ["perplexity", "model", "--text", "text.txt"], Code.badData, naming: "all weights are finite",
      in: scratch)
  }

  @Test("rows of the embedding that no token looks up do not count")
  func unusedRows() throws {
    // The last row is that of a reserved token.
    try write("model.embed_tokens.weight", .nan, at: 2047 * 256..<2047 * 256 + 1)
    let result = try expectSuccess(Self.calibrating[0], in: scratch.folder)
    #expect(result.warnings.contains { $0.contains("model.embed_tokens.weight") })
    try expectSuccess(["perplexity", "model", "--text", "text.txt"], in: scratch.folder)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("inspect of what is no whole checkpoint of the family")
struct InspectAnythingTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
  }

  /// A safetensors file of a few tensors.
  private func write(
    _ name: String, _ tensors: [(name: String, dtype: String, shape: [Int], byteCount: Int)],
    metadata: [String: String]? = nil
  ) throws {
    let url = scratch.url(name)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    var header: [String: Any] = metadata.map { ["__metadata__": $0] } ?? [:]
    var end = 0
    for tensor in tensors {
      header[tensor.name] = [
        "dtype": tensor.dtype, "shape": tensor.shape,
        "data_offsets": [end, end + tensor.byteCount],
      ]
      end += tensor.byteCount
    }
    let text = try JSONSerialization.data(withJSONObject: header, options: .sortedKeys)
    try (Data(littleEndian(text.count)) + text + Data(count: end)).write(to: url)
  }

  private func inspect(_ path: String, _ more: String...) throws -> (
    json: [String: Any], text: String, warnings: [String]
  ) {
    let text = try expectSuccess(["inspect", path] + more, in: scratch.folder)
    let json = try expectSuccess(["inspect", path, "--json"] + more, in: scratch.folder)
    return (try json.json(), text.text, text.warnings)
  }

  @Test("a folder without config.json, with layers under another name")
  func withoutConfiguration() throws {
    try write(
      "gpt/model.safetensors",
      (0..<30).map { ("transformer.h.\($0).attn.c_attn.weight", "F32", [2, 3], 24) }
        + [("wte.weight", "F16", [4, 2], 16)],
      metadata: ["format": "pt", "notes": String(repeating: "y", count: 5000)])
    let (json, text, warnings) = try inspect("gpt")
    #expect(warnings.count == 1 && warnings[0].contains("has no config.json"))
    #expect(json["tensor_count"] as? Int == 31)
    #expect(json["parameters"] as? Int == 30 * 6 + 8)
    #expect(json["tensor_bytes"] as? Int == 30 * 24 + 16)
    let layers = try #require(json["by_layer"] as? [[String: Any]])
    #expect(layers.count == 31 && layers[29]["layer"] as? Int == 29)
    #expect(layers[30]["layer"] is NSNull && layers[30]["parameters"] as? Int == 8)
    let encodings = try #require(json["encodings"] as? [String: [String: Any]])
    #expect(encodings["f16"]?["bytes"] as? Int == 16 && encodings["f32"]?["tensors"] as? Int == 30)
    // Metadata is bounded, and long lists of tensors are cut for people alone.
    let metadata = try #require(json["metadata"] as? [[String: Any]])
    let entries = try #require(metadata.first?["entries"] as? [String: String])
    #expect(entries["format"] == "pt" && (entries["notes"]?.utf8.count ?? 0) < 300)
    #expect((json["tensors"] as? [Any])?.count == 31)
    #expect(text.contains("… and 11 more; --tensors lists all"))
    #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count < 400 })
  }

  @Test("a model of another family: its name, its quantization, and no roles of ours")
  func foreignFamily() throws {
    try write(
      "llama/model.safetensors",
      [
        ("model.layers.0.self_attn.q_proj.weight_packed", "I32", [4, 2], 32),
        ("model.layers.0.self_attn.q_proj.weight_scale", "BF16", [4, 1], 8),
        ("model.layers.1.self_attn.o_proj.weight", "F16", [2, 2], 8),
      ])
    try scratch.write(
      """
      {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "quantization_config":
      {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups":
      {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}}}}
      """, to: "llama/config.json")
    let (json, text, warnings) = try inspect("llama")
    #expect(warnings.count == 1 && warnings[0].contains("llama"))
    #expect(json["model_type"] as? String == "llama")
    #expect(text.contains("llama (LlamaForCausalLM), not of the Kimi Linear family"))
    #expect(
      json["quantization"] as? String
        == "compressed-tensors, format pack-quantized, num_bits 4, group_size 128")
    #expect(json["packed_integer_tensors"] as? Int == 1)
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.allSatisfy { $0["role"] is NSNull })
  }

  @Test("a model of the family that MLX has quantized")
  func mlx() throws {
    try scratch.nano(changing: "config.json")
    try scratch.replace(
      "{", with: "{\"quantization\": {\"group_size\": 64, \"bits\": 4},", in: "model/config.json")
    var file = try TensorFile(scratch.url("model/model.safetensors"))
    file.header["lm_head.weight"] = file.entry(
      "U32", [2048, 128], try file.range("lm_head.weight"))
    try file.write(to: scratch.url("model/model.safetensors"))
    let (json, _, warnings) = try inspect("model")
    #expect(warnings.count == 1)
    #expect(json["quantization"] as? String == "bits 4, group_size 64")
    #expect(json["tensor_count"] as? Int == 151)
  }

  @Test("one shard out of many, by its path: with and without a configuration")
  func loneShard() throws {
    try scratch.copy(Fixture.sharded(), as: "model")
    let name = try #require(
      try scratch.listing().first { $0.hasSuffix("-of-00004.safetensors") })
    try scratch.copy(Fixture.sharded(), as: "whole")
    try scratch.link(
      scratch.url("whole/\(name.dropFirst(6))"), as: "model-00002-of-00009.safetensors")
    for (path, total) in [(name, 4), ("model-00002-of-00009.safetensors", 9)] {
      let (json, text, _) = try inspect(path)
      #expect(json["shards"] as? Int == 1 && json["shard_count"] as? Int == total)
      #expect(text.contains("1 of \(total)"))
      let tensors = try #require(json["tensors"] as? [[String: Any]])
      #expect(tensors.contains { $0["role"] as? String == "dense_mlp" })
    }
  }

  @Test("a folder that lacks a shard or its index shows the rest, and fails")
  func incomplete() throws {
    for lacking in ["model-00003-of-00004.safetensors", "model.safetensors.index.json"] {
      try scratch.copy(Fixture.sharded(), as: lacking)
      try FileManager.default.removeItem(at: scratch.url("\(lacking)/\(lacking)"))
      let result = try expectFailure(
        ["inspect", lacking, "--json"], Code.missingInput, naming: lacking, in: scratch)
      let json = try result.json()
      #expect((json["problem"] as? String)?.contains(lacking) == true)
      let count = try #require(json["tensor_count"] as? Int)
      #expect(lacking.hasSuffix(".json") ? count == 151 : (1..<151).contains(count))
    }
  }

  @Test("a damaged configuration is an error that leaves the tensors to be seen")
  func damagedConfiguration() throws {
    for (old, new) in [("\"silu\"", "\"gelu\""), ("{", "{,")] {
      try scratch.nano(changing: "config.json")
      try scratch.replace(old, with: new, in: "model/config.json")
      let result = try expectFailure(
        ["inspect", "model", "--role", "router"], Code.badData, naming: "config.json", in: scratch)
      #expect(result.text.contains("model.layers.1.block_sparse_moe.gate.weight"))
      try FileManager.default.removeItem(at: scratch.url("model"))
    }
  }

  @Test("a saved base says for which model, text and windows it is")
  func savedBase() throws {
    try scratch.write(Fixture.text, to: "text.txt")
    try expectSuccess(
      [
        "perplexity", Fixture.nano.path, "--text", "text.txt", "--context", "64", "--save-base",
        "a.base",
      ], in: scratch.folder)
    let (json, text, warnings) = try inspect("a.base")
    #expect(warnings.isEmpty)
    #expect(json["saved"] as? String == "base" && json["context"] as? Int == 64)
    #expect(json["model_tensors"] as? Int == 151)
    #expect((json["tokens_checksum"] as? String)?.count == 16)
    #expect(text.contains("--context 64 --stride 64 --score all"))
  }

  @Test("a saved calibration says for which model and text it is, and how much of it was run")
  func savedCalibration() throws {
    try scratch.write(Fixture.text, to: "text.txt")
    try expectSuccess(
      [
        "calibrate", Fixture.nano.path, "saved", "--calibration", "text.txt", "--method", "rtn",
        "--calibration-context", "32", "--calibration-windows", "2",
      ], in: scratch.folder)
    let (json, text, warnings) = try inspect("saved")
    #expect(warnings.isEmpty)
    #expect(json["saved"] as? String == "calibration" && json["method"] as? String == "rtn")
    #expect(json["windows"] as? Int == 2 && json["tokens"] as? Int == 64)
    #expect(json["text_bytes"] as? Int == Fixture.text.utf8.count)
    #expect((json["model_fingerprint"] as? String)?.count == 16)
    #expect(text.contains("2 of "))
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// One way to damage the nano checkpoint, and what must be said about it.
struct Damage: CustomTestStringConvertible, Sendable {
  let testDescription: String
  var code = Code.badData
  /// What the message names.
  let names: [String]
  /// Commands that notice; tokenize reads configuration and tokenizer only.
  var commands = Damage.allCommands
  /// Damages `model` in the folder.
  let apply: @Sendable (Scratch) throws -> Void

  static let allCommands = ["inspect", "convert", "quantize", "perplexity", "tokenize"]
  static let modelCommands = ["inspect", "convert", "quantize", "perplexity"]
  static let tokenizerCommands = ["convert", "quantize", "perplexity", "tokenize"]

  /// The arguments of a command on `model`.
  static func arguments(_ command: String, model: String = "model") -> [String] {
    switch command {
    case "inspect": ["inspect", model]
    case "convert": ["convert", model, "out.kiln"]
    case "quantize": ["quantize", model, "out.kiln", "--scheme", "int4-g32"]
    default: [command, model, "--text", "text.txt"]
    }
  }
}

extension Damage {
  static let weights = "model/model.safetensors"

  static func header(_ scratch: Scratch, _ body: (inout TensorFile) throws -> Void) throws {
    var file = try TensorFile(scratch.url(weights))
    try body(&file)
    try file.write(to: scratch.url(weights))
  }

  static func configuration(
    _ name: String, _ old: String, _ new: String, names: [String],
    commands: [String] = allCommands
  ) -> Damage {
    Damage(testDescription: name, names: ["config.json"] + names, commands: commands) {
      try $0.replace(old, with: new, in: "model/config.json")
    }
  }

  static func tokenizer(_ name: String, names: [String], _ old: String, _ new: String) -> Damage {
    Damage(
      testDescription: name, names: ["tiktoken.model"] + names, commands: tokenizerCommands
    ) { try $0.replace(old, with: new, in: "model/tiktoken.model") }
  }

  static let inFiles: [Damage] = [
    Damage(testDescription: "truncated shard", names: ["model.safetensors"]) {
      try $0.edit(weights) { $0.removeLast(1000) }
    },
    Damage(testDescription: "shard cut in its header", names: ["model.safetensors", "header"]) {
      try $0.edit(weights) { $0.removeLast($0.count - 100) }
    },
    Damage(testDescription: "empty shard", names: ["model.safetensors", "0 bytes"]) {
      try $0.edit(weights) { $0 = [] }
    },
    Damage(testDescription: "bytes behind the tensors", names: ["model.safetensors"]) {
      try $0.edit(weights) { $0.append(0) }
    },
    Damage(testDescription: "header is not JSON", names: ["model.safetensors", "not valid JSON"]) {
      try $0.edit(weights) { $0[20] = 0x5C }
    },
    Damage(testDescription: "header of 2^63 bytes", names: ["model.safetensors", "header"]) {
      try $0.edit(weights) { $0.replaceSubrange(0..<8, with: [0, 0, 0, 0, 0, 0, 0, 0x80]) }
    },
    Damage(testDescription: "overlapping offsets", names: ["model.safetensors", "overlaps"]) {
      try header($0) { file in
        let end = try file.range("lm_head.weight").lowerBound + 512
        file.header["model.norm.weight"] = file.entry("BF16", [256], end - 512..<end)
      }
    },
    Damage(testDescription: "a size that overflows", names: ["\"extra\""]) {
      try header($0) { $0.header["extra"] = $0.entry("F64", [1 << 62, 4], 0..<8) }
    },
    Damage(testDescription: "control characters in a name", names: ["\\u{1b}[31m"]) {
      try header($0) { $0.header["\u{1B}[31m\n\u{202E}"] = $0.entry("F64", [2], 0..<8) }
    },
    Damage(testDescription: "a very long name", names: ["AAAA"]) {
      try header($0) {
        $0.header[String(repeating: "A", count: 1 << 20)] = $0.entry("F64", [2], 0..<8)
      }
    },
    Damage(
      testDescription: "missing tensor",
      names: ["model.layers.3.self_attn.q_proj.weight", "missing"],
      commands: modelCommands
    ) {
      try header($0) { file in
        let entry = file.header.removeValue(forKey: "model.layers.3.self_attn.q_proj.weight")
        file.header["model.layers.3.self_attn.r_proj.weight"] = entry
      }
    },
    Damage(
      testDescription: "a tensor of another shape", names: ["lm_head.weight", "shape"],
      commands: modelCommands
    ) {
      try header($0) { file in
        file.header["lm_head.weight"] = file.entry(
          "BF16", [1024, 512], try file.range("lm_head.weight"))
      }
    },
    Damage(
      testDescription: "an expert too many", names: ["experts.8.w1.weight"], commands: modelCommands
    ) {
      try header($0) {
        $0.add("model.layers.1.block_sparse_moe.experts.8.w1.weight", "BF16", [1], [0, 0])
      }
    },
    // Found by hand: names for 2^60 experts were made before anything else was looked at.
    Damage(
      testDescription: "2^60 fused experts of no elements", names: ["gate_up_proj", "shape"],
      commands: modelCommands
    ) {
      try header($0) {
        $0.add("model.layers.1.mlp.experts.gate_up_proj", "F32", [1 << 60, 0, 0], [])
      }
    },
    Damage(
      testDescription: "no config.json", code: Code.missingInput, names: ["config.json"],
      commands: ["convert", "quantize", "perplexity"]
    ) { try FileManager.default.removeItem(at: $0.url("model/config.json")) },
    Damage(
      testDescription: "no tiktoken.model", code: Code.missingInput, names: ["tiktoken.model"],
      commands: ["perplexity", "tokenize"]
    ) { try FileManager.default.removeItem(at: $0.url("model/tiktoken.model")) },
    configuration("layer lists with a hole", "      1,\n", "", names: ["layer 1", "kda_layers"]),
    configuration("a layer beyond the last", "3\n", "5\n", names: ["kda_layers"]),
    configuration(
      "a layer that is listed twice", " 2,\n", " 2, 2,\n", names: ["kda_layers", "twice"]),
    configuration("an unknown activation", "\"silu\"", "\"gelu\"", names: ["hidden_act", "gelu"]),
    configuration("a negative size", "256", "-256", names: ["hidden_size"]),
    configuration("a size beyond Int", "256", "99999999999999999999", names: ["hidden_size"]),
    configuration("a key twice", "{", "{\"vocab_size\": 1,", names: ["vocab_size", "twice"]),
    configuration("not JSON", "{", "{,", names: ["not valid JSON"]),
    configuration(
      "deep nesting", "{", "{\"x\":" + String(repeating: "[", count: 200),
      names: ["nested"]),
    configuration("a byte-order mark", "{", "\u{FEFF}{", names: ["not valid JSON"]),
    configuration("a factor beyond float32", "2.446", "1e300", names: ["routed_scaling_factor"]),
    tokenizer("a line that is not base64", names: ["line 1"], "IQ==", "I!=="),
    tokenizer("a rank twice", names: ["line 3"], "Iw== 2", "Iw== 1"),
    tokenizer("a rank that is no number", names: ["line 2"], "Ig== 1", "Ig== one"),
    Damage(
      testDescription: "an empty tokenizer", names: ["tiktoken.model"],
      commands: tokenizerCommands
    ) { try $0.edit("model/tiktoken.model") { $0 = [] } },
  ]
}

@Suite("Damaged checkpoints")
struct BadCheckpointTests {
  @Test("gives a clean error", arguments: Damage.inFiles)
  func damage(_ damage: Damage) throws {
    let scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
    try damage.apply(scratch)
    for command in damage.commands {
      let result = try expectFailure(Damage.arguments(command), damage.code, in: scratch)
      for name in damage.names {
        #expect(result.messages.first?.contains(name) == true, "\(command): \(result.errors)")
      }
    }
  }

  @Test("a damaged config.json leaves the tensors of a lone file readable")
  func loneFile() throws {
    let scratch = try Scratch()
    try scratch.link(Fixture.nano.appendingPathComponent("model.safetensors"), as: "weights")
    let result = try expectSuccess(["inspect", scratch.path("weights"), "--tensors"])
    #expect(result.text.contains("model.layers.0.self_attn.A_log"))
    try expectFailure(
      ["convert", "weights", "out.kiln"], Code.missingInput, naming: "config.json", in: scratch)
  }

  @Test("NaN is copied, counted and told, and never a perplexity")
  func notANumber() throws {
    let scratch = try Scratch()
    let model = try scratch.nano()
    try Damage.header(scratch) { file in
      try file.poke("lm_head.weight", [0xC0, 0x7F, 0x80, 0xFF])
      try file.poke("model.norm.weight", [0x80, 0x7F])
    }
    try scratch.write(Fixture.text, to: "text.txt")
    let statistics = try expectSuccess(
      ["inspect", model, "--stats", "--filter", "lm_head", "--json"]
    ).json()
    let tensors = try #require(statistics["tensors"] as? [[String: Any]])
    let values = try #require(tensors.first?["statistics"] as? [String: Any])
    #expect(values["nan_count"] as? Int == 1)
    #expect(values["inf_count"] as? Int == 1)

    try expectSuccess(["convert", model, scratch.path("copy.kiln")])
    try expectSuccess(["convert", scratch.path("copy.kiln"), scratch.path("back")])
    let (there, back) = (
      try TensorFile(scratch.url(Damage.weights)),
      try TensorFile(scratch.url("back/model.safetensors"))
    )
    for name in ["lm_head.weight", "model.norm.weight"] {
      #expect(try there.bytes(name) == back.bytes(name))
    }

    let result = try expectSuccess(
      ["quantize", model, scratch.path("out.kiln"), "--scheme", "int4-g32"])
    #expect(result.warnings.contains { $0.contains("lm_head.weight\" has 1 NaN and 1 inf") })
    // A tensor that is kept is not rounded, but is broken all the same.
    #expect(result.warnings.contains { $0.contains("model.norm.weight\" has 0 NaN and 1 inf") })
    try expectFailure(
      ["perplexity", "model", "--text", "text.txt", "--token-log", "log.csv"], Code.badData,
      naming: "model.norm.weight", "1 infinite", in: scratch)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Files that stand in the place of others are named for what they are, with what to do.
@Suite("Inputs of other kinds")
struct ForeignInputTests {
  private let scratch: Scratch
  private static let pointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 10499368\n"
  private static let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"

  init() throws {
    scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  @Test(
    "a file in place of a model",
    arguments: [
      ("model.gguf", "GGUF\u{3}\0\0\0", "GGUF"), ("model.safetensors", pointer, "git lfs pull"),
      ("model.safetensors", page, "HTML"), ("weights.bin", "PK\u{3}\u{4}\0\0\0\0\0\0", "ZIP"),
      ("model.safetensors", "{\"error\":\"Unauthorized\"}", "error message"),
      ("model.safetensors", "{\"a\": 1, \"b\": 2}", "JSON"),
      ("model.kiln", "\u{1F}\u{8B}", "kiln"),
      ("model.onnx", "\u{8}\u{7}\u{12}\u{7}pytorch", "ONNX"),
      ("model.safetensors", "Entry not found", "a text, expected tensors"),
      ("README.md", "# Modell für alle\n\nText\n", "a text, expected tensors"),
      ("zeros", String(repeating: "\0", count: 4096), "zeros"),
      ("model.tar", "m/" + String(repeating: "\0", count: 255) + "ustar", "tar"),
    ])
  func model(_ name: String, _ content: String, _ expected: String) throws {
    try scratch.write(content, to: name)
    for command in ["inspect", "convert", "perplexity"] {
      try expectFailure(
        Damage.arguments(command, model: name), Code.badData, naming: name, expected, in: scratch)
    }
  }

  @Test(
    "a file of a checkpoint that was not downloaded",
    arguments: ["config.json", "tiktoken.model", "tokenizer_config.json"])
  func pointers(_ name: String) throws {
    for (content, expected) in [(Self.pointer, "git lfs pull"), (Self.page, "HTML page")] {
      try scratch.nano()
      try scratch.edit("model/\(name)") { $0 = Array(content.utf8) }
      for command in name == "config.json" ? Damage.modelCommands : Damage.tokenizerCommands {
        try expectFailure(
          Damage.arguments(command), Code.badData, naming: name, expected, in: scratch)
      }
      try FileManager.default.removeItem(at: scratch.url("model"))
    }
  }

  @Test("a shard, or the index, that was not downloaded")
  func shards() throws {
    for (file, content, expected) in [
      ("model-00002-of-00004.safetensors", Self.pointer, "git lfs pull"),
      ("model.safetensors.index.json", Self.page, "HTML page"),
      ("model.safetensors.index.json", Self.pointer, "git lfs pull"),
    ] {
      try scratch.copy(Fixture.sharded(), as: "model")
      try scratch.edit("model/\(file)") { $0 = Array(content.utf8) }
      try expectFailure(["inspect", "model"], Code.badData, naming: file, expected, in: scratch)
      try FileManager.default.removeItem(at: scratch.url("model"))
    }
  }

  @Test("files that are only carried along, and were not downloaded")
  func carriedFiles() throws {
    try scratch.nano()
    try scratch.write(Self.pointer, to: "model/generation_config.json")
    try scratch.write(Self.page, to: "model/chat_template.jinja")
    try scratch.write("", to: "model/special_tokens_map.json")
    try scratch.write("", to: "model/__init__.py")
    try scratch.write("<html>", to: "model/page.html")
    let expected = [
      "generation_config.json: is a Git LFS pointer", "chat_template.jinja: is an HTML page",
      "special_tokens_map.json: is an empty file",
    ]
    for command in [
      ["convert", "model", "a.kiln"], ["quantize", "model", "b.kiln", "--scheme", "int8-g32"],
      ["inspect", "model"], ["inspect", "a.kiln"],
    ] {
      let warnings = try expectSuccess(command, in: scratch.folder).warnings
      #expect(warnings.count == expected.count, "\(warnings)")
      for text in expected {
        #expect(warnings.contains { $0.contains(text) }, "\(command): \(text)")
      }
    }
    for model in ["model", "a.kiln"] {
      let result = try Tool.run(["verify", model], in: scratch.folder)
      #expect(result.status == 2)
      for text in expected { #expect(result.text.contains(text), "\(model): \(text)") }
      #expect(!result.text.contains("sound"))
    }
    // Otherwise as sound as before.
    for name in ["generation_config.json", "special_tokens_map.json"] {
      try scratch.write("{}", to: "model/\(name)")
    }
    try scratch.write("{{ messages }}", to: "model/chat_template.jinja")
    try expectSuccess(["verify", "model"], in: scratch.folder)
  }

  @Test("a shard of a .kiln folder that was not downloaded")
  func packedShards() throws {
    try expectSuccess(
      ["convert", Fixture.packed().path, scratch.path("parts.kiln"), "--shard-size", "4MB"])
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("parts.kiln"))
    let shard = try #require(names.sorted().last { $0.hasSuffix(".kiln") })
    for (content, expected) in [
      (Self.pointer, "git lfs pull"), (Self.page, "HTML page"), ("Entry not found", "a text"),
      ("", "empty file"),
    ] {
      try Data(content.utf8).write(to: scratch.url("parts.kiln/\(shard)"))
      try expectFailure(
        ["convert", "parts.kiln", "out.kiln"], Code.badData, naming: shard, expected, in: scratch)
    }
  }

  @Test("a saved base or calibration in place of a model is named for what it is")
  func savedResults() throws {
    try scratch.nano()
    try expectSuccess(
      [
        "perplexity", "model", "--text", "text.txt", "--context", "64", "--save-base", "saved.base",
      ], in: scratch.folder)
    try expectSuccess(
      [
        "calibrate", "model", "saved.cal", "--calibration", "text.txt", "--calibration-context",
        "32", "--calibration-windows", "1",
      ], in: scratch.folder)
    for (name, kind) in [("saved.base", "a saved base"), ("saved.cal", "a saved calibration")] {
      let commands: [[String]] = [
        ["convert", name, "o.kiln"], ["generate", name, "--prompt", "a"],
        ["perplexity", name, "--text", "text.txt"],
        ["quantize", name, "o.kiln", "--scheme", "int8-g32"], ["bench", name],
        ["tokenize", name, "--text", "text.txt"],
        ["calibrate", name, "o.cal", "--calibration", "text.txt"],
        ["verify", "model", "--against", name], ["verify", name, "--against", "model"],
      ]
      for command in commands {
        try expectFailure(
          command, Code.badData, naming: "\(name): is \(kind), not a model", in: scratch)
      }
      for command in ["inspect", "verify"] {
        try expectSuccess([command, name], in: scratch.folder)
      }
    }
    try expectFailure(
      ["perplexity", "model", "--text", "text.txt", "--against", "saved.cal"], Code.badData,
      naming: "saved.cal: is a saved calibration, not a model", in: scratch)
  }

  @Test("a download that was cut is told with both sizes")
  func truncated() throws {
    try scratch.nano()
    try scratch.edit(Damage.weights) { $0.removeLast(1000) }
    try expectFailure(
      ["convert", "model", "out.kiln"], Code.badData,
      naming: "truncated: 10498368 of 10499368 bytes",
      "download it again", in: scratch)
    let packed = try Data(contentsOf: Fixture.packed())
    try packed.prefix(packed.count / 2).write(to: scratch.url("half.kiln"))
    try expectFailure(
      ["convert", "half.kiln", "out.kiln"], Code.badData,
      naming: "truncated: \(packed.count / 2) of \(packed.count) bytes", "download it again",
      in: scratch)
  }

  @Test("texts and recipes of other kinds")
  func others() throws {
    try scratch.nano()
    try scratch.write(Self.pointer, to: "pointer")
    try Data([0xFF, 0xFE, 0x61, 0x00, 0x62, 0x00]).write(to: scratch.url("utf16.txt"))
    for (name, expected) in [
      ("pointer", "git lfs pull"), ("utf16.txt", "UTF-16"),
      ("model/model.safetensors", "safetensors file"),
    ] {
      try expectFailure(
        ["perplexity", "model", "--text", name], Code.badData, naming: name, expected, in: scratch)
    }
    try expectFailure(
      ["quantize", "model", "out.kiln", "--recipe", "pointer"], Code.badData, naming: "pointer",
      "git lfs pull", in: scratch)
    // A page is a text like any other.
    try scratch.write(Self.page, to: "page.html")
    try expectSuccess(["perplexity", "model", "--text", "page.html"], in: scratch.folder)
  }

  @Test("an adapter without its base")
  func adapter() throws {
    try FileManager.default.createDirectory(
      at: scratch.url("model"), withIntermediateDirectories: false)
    var file = try TensorFile(Fixture.nano.appendingPathComponent("model.safetensors"))
    (file.header, file.data) = ([:], Data())
    file.add("base_model.model.lm_head.lora_A.weight", "F32", [1], [0, 0, 0, 0])
    try file.write(to: scratch.url("model/adapter_model.safetensors"))
    try scratch.write("{\"peft_type\": \"LORA\"}", to: "model/adapter_config.json")
    for command in ["convert", "perplexity"] {
      try expectFailure(
        Damage.arguments(command), Code.badData, naming: "LoRA adapter", "merge", in: scratch)
    }
  }
}

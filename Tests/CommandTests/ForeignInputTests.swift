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

  @Test("a download that was cut is told with both sizes")
  func truncated() throws {
    try scratch.nano()
    try scratch.edit(Damage.weights) { $0.removeLast(1000) }
    try expectFailure(
      ["convert", "model", "out.kiln"], Code.badData,
      naming: "truncated: 10498368 of 10499368 bytes",
      "download it again", in: scratch)
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

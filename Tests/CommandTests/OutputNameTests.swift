// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Names of outputs that say something else than what would be written.
@Suite("Names of outputs")
struct OutputNameTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.link(Fixture.packed(), as: "in.kiln")
    try scratch.write(Fixture.text, to: "text.txt")
  }

  @Test(
    "of another format",
    arguments: [
      "x.safetensors", "x.gguf", "x.GGUF", "x.bin", "x.pt", "x.json", "x.zip", "x.txt", "x.onnx",
      "none/../x.npz",
    ])
  func otherFormat(_ name: String) throws {
    for command in [
      ["convert", "model", name], ["convert", "in.kiln", name],
      ["convert", "model", name, "--dry-run"],
      ["quantize", "model", name, "--scheme", "int4-g32"],
      ["quantize", "model", name, "--scheme", "int4-g32", "--shard-size", "1MB"],
      ["calibrate", "model", name, "--calibration", "text.txt"],
      ["perplexity", "model", "--text", "text.txt", "--save-base", name],
    ] {
      try expectFailure(command + ["--force"], Code.cannotCreate, naming: name, in: scratch)
    }
  }

  @Test(
    "of a folder, where a file would be written", arguments: ["new/", "new.kiln/", "old", "old/"])
  func folder(_ name: String) throws {
    try FileManager.default.createDirectory(
      at: scratch.url("old"), withIntermediateDirectories: false)
    for command in [
      ["convert", "model", name], ["quantize", "model", name, "--scheme", "int4-g32"],
      ["calibrate", "model", name, "--calibration", "text.txt"],
      ["perplexity", "model", "--text", "text.txt", "--save-base", name],
      ["perplexity", "model", "--text", "text.txt", "--token-log", name],
    ] {
      for force in [[], ["--force"]] {
        try expectFailure(
          command + force, Code.cannotCreate, naming: "folder", in: scratch)
      }
    }
  }

  @Test(
    "of what another command keeps", arguments: ["x.base", "x.calibration", "x.Base"])
  func keptByOthers(_ name: String) throws {
    for command in [
      ["convert", "model", name], ["quantize", "model", name, "--scheme", "int4-g32"],
      ["perplexity", "model", "--text", "text.txt", "--token-log", name],
    ] {
      try expectFailure(command, Code.cannotCreate, naming: name, in: scratch)
    }
    try expectFailure(
      ["calibrate", "model", "x.base", "--calibration", "text.txt"], Code.cannotCreate,
      naming: "x.base", in: scratch)
  }

  @Test("a token log is no model", arguments: ["log.kiln", "log.safetensors", "log.json"])
  func tokenLog(_ name: String) throws {
    try expectFailure(
      ["perplexity", "model", "--text", "text.txt", "--token-log", name], Code.cannotCreate,
      naming: name, "CSV", in: scratch)
  }

  @Test("a slash where a folder is written, and names without an ending, are fine")
  func fine() throws {
    try expectSuccess(["convert", "in.kiln", "out/"], in: scratch.folder)
    try expectSuccess(["convert", "model", "packed"], in: scratch.folder)
    try expectSuccess(["convert", "model", "shards/", "--shard-size", "4MB"], in: scratch.folder)
    #expect(FileManager.default.fileExists(atPath: scratch.path("out/model.safetensors")))
  }

  @Test("shards of nearly nothing", arguments: ["5", "5B", "1KB", "63KB"])
  func shardSize(_ size: String) throws {
    for source in ["model", "in.kiln"] {
      try expectFailure(
        ["convert", source, "out", "--shard-size", size], Code.usage, naming: "--shard-size",
        "64KB",
        in: scratch)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("Folders that are not what they should be")
struct BadFolderTests {
  private let scratch: Scratch
  private static let index = "model/model.safetensors.index.json"
  private static let firstShard = "model-00001-of-00004.safetensors"

  init() throws {
    scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func shards() throws {
    try scratch.copy(Fixture.sharded(), as: "model")
    try #require(FileManager.default.fileExists(atPath: scratch.path("model/" + Self.firstShard)))
  }

  private func expectFailures(_ code: Int32, naming name: String) throws {
    for command in Damage.allCommands {
      try expectFailure(Damage.arguments(command), code, naming: name, in: scratch)
    }
  }

  @Test("nothing there")
  func missing() throws {
    try expectFailures(Code.missingInput, naming: "model")
  }

  @Test("an empty folder")
  func empty() throws {
    try FileManager.default.createDirectory(
      at: scratch.url("model"), withIntermediateDirectories: false)
    try expectFailures(Code.badData, naming: "model")
  }

  @Test("shards without an index")
  func missingIndex() throws {
    try shards()
    try FileManager.default.removeItem(at: scratch.url(Self.index))
    try expectFailures(Code.missingInput, naming: "model.safetensors.index.json")
  }

  @Test("an index that names a shard that is not there")
  func missingShard() throws {
    try shards()
    try FileManager.default.removeItem(at: scratch.url("model/" + Self.firstShard))
    try expectFailures(Code.missingInput, naming: Self.firstShard)
  }

  @Test("an index that names a tensor that is not in its shard")
  func missingTensor() throws {
    try shards()
    try scratch.replace("\"lm_head.weight\"", with: "\"lm_head.height\"", in: Self.index)
    try expectFailures(Code.badData, naming: "lm_head.height")
  }

  @Test("an index that names a tensor twice, holds no map, is cut")
  func brokenIndex() throws {
    for (old, new) in [
      ("\"weight_map\": {", "\"weight_map\": {\"lm_head.weight\": \"a.safetensors\","),
      ("weight_map", "weight_mop"), ("{", ""),
    ] {
      try shards()
      try scratch.replace(old, with: new, in: Self.index)
      try expectFailures(Code.badData, naming: "model.safetensors.index.json")
      try FileManager.default.removeItem(at: scratch.url("model"))
    }
  }

  @Test("an index of more shards than any checkpoint has is refused before one is looked for")
  func manyShards() throws {
    try scratch.nano()
    try FileManager.default.removeItem(at: scratch.url("model/model.safetensors"))
    let entries = (0...1 << 14).map { "\"\($0)\": \"s\($0).safetensors\"" }
    try scratch.write(
      "{\"weight_map\": {\(entries.joined(separator: ", "))}}", to: Self.index)
    try expectFailures(Code.badData, naming: "shards")
  }

  @Test(
    "an index that leads out of the folder",
    arguments: ["../other/", "../model_evil/", "/ABSOLUTE/", "./../other/", "x/../../other/"])
  func traversal(_ prefix: String) throws {
    try shards()
    // What it leads to is a sound shard: only the path is wrong.
    for folder in ["other", "model_evil"] { try scratch.copy(Fixture.sharded(), as: folder) }
    let shard = prefix.replacingOccurrences(of: "/ABSOLUTE", with: scratch.path("other"))
    try scratch.edit(Self.index) { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      bytes = Array(
        text.replacingOccurrences(of: Self.firstShard, with: shard + Self.firstShard).utf8)
    }
    try expectFailures(Code.badData, naming: "model.safetensors.index.json")
  }

  @Test("a shard that is a link out of the folder, or to a device")
  func links() throws {
    for target in ["/dev/zero", "other/" + Self.firstShard] {
      try shards()
      try scratch.copy(Fixture.sharded(), as: "other")
      let shard = scratch.url("model/" + Self.firstShard)
      try FileManager.default.removeItem(at: shard)
      try FileManager.default.createSymbolicLink(
        atPath: shard.path,
        withDestinationPath: target.hasPrefix("/") ? target : scratch.path(target))
      try expectFailures(Code.badData, naming: Self.firstShard)
      try FileManager.default.removeItem(at: scratch.url("model"))
    }
  }

  @Test(
    "a FIFO, a device or a folder in place of a file",
    arguments: ["model.safetensors", "config.json", "tiktoken.model"])
  func specialFiles(_ name: String) throws {
    let path = scratch.path("model/" + name)
    for kind in ["fifo", "device", "folder"] {
      try scratch.nano()
      try FileManager.default.removeItem(atPath: path)
      switch kind {
      case "fifo": try scratch.fifo("model/" + name)
      case "device":
        try FileManager.default.createSymbolicLink(
          atPath: path, withDestinationPath: "/dev/zero")
      default:
        try FileManager.default.createDirectory(
          atPath: path, withIntermediateDirectories: false)
      }
      try expectFailures(Code.badData, naming: name)
      try FileManager.default.removeItem(at: scratch.url("model"))
    }
  }

  @Test("a model that is a FIFO, a device, an empty file, a text")
  func notAModel() throws {
    try scratch.fifo("fifo")
    try scratch.write("", to: "empty")
    for model in ["fifo", "empty", "text.txt", "/dev/zero", "/dev/null"] {
      for command in Damage.allCommands {
        try expectFailure(
          Damage.arguments(command, model: model), Code.badData, naming: model, in: scratch)
      }
    }
  }

  @Test("no file beside the model is carried along through a link out of the folder")
  func privateFile() throws {
    try scratch.nano()
    try FileManager.default.createSymbolicLink(
      atPath: scratch.path("model/notes.txt"), withDestinationPath: scratch.path("text.txt"))
    let result = try expectSuccess(
      ["convert", scratch.path("model"), scratch.path("out.kiln")])
    #expect(result.warnings.contains { $0.contains("notes.txt") })
    try expectSuccess(["convert", scratch.path("out.kiln"), scratch.path("back")])
    #expect(!FileManager.default.fileExists(atPath: scratch.path("back/notes.txt")))
  }
}

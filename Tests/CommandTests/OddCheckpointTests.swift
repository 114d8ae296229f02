// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Inputs that are unusual but right (RELIABILITY R2): refusing one counts like a crash.
@Suite("Odd but valid checkpoints")
struct OddCheckpointTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private static func expected() throws -> Double? {
    try expectSuccess(
      ["perplexity", Fixture.nano.path, "--text", "-", "--json"], input: Fixture.text
    ).json()["mean_nll"] as? Double
  }

  /// Every command works, and the model computes what nano computes.
  private func expectNano(
    _ model: String = "model", sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for command in Damage.allCommands {
      let arguments = Damage.arguments(command, model: model)
      let result = try expectSuccess(
        arguments + (command == "perplexity" ? ["--json"] : []), in: scratch.folder,
        sourceLocation: sourceLocation)
      if command == "perplexity" {
        let mean = try result.json()["mean_nll"] as? Double
        #expect(try mean == Self.expected(), sourceLocation: sourceLocation)
      }
      try? FileManager.default.removeItem(at: scratch.url("out.kiln"))
    }
    try expectSuccess(
      ["convert", model, "out.kiln"], in: scratch.folder, sourceLocation: sourceLocation)
    try expectSuccess(
      ["convert", "out.kiln", "back", "--force"], in: scratch.folder, sourceLocation: sourceLocation
    )
  }

  @Test("headers of any length, padded or not", arguments: 0..<8)
  func headerLength(_ padding: Int) throws {
    try scratch.nano()
    try Damage.header(scratch) { _ in }
    let file = try TensorFile(scratch.url(Damage.weights))
    try file.write(to: scratch.url(Damage.weights), padding: padding)
    try expectNano()
  }

  @Test("tensors without elements, scalars, unknown types and names: kept, with a warning")
  func extraTensors() throws {
    try scratch.nano()
    try Damage.header(scratch) { file in
      file.add("scalar", "F64", [], [1, 2, 3, 4, 5, 6, 7, 8])
      file.add("empty", "F32", [0, 3], [])
      file.add("rows", "BF16", [1 << 60, 0], [])
      file.add("byte", "F8_E4M3", [3], [1, 2, 3])
      file.add("nibbles", "F4", [2], [0x21])
      file.add("flag", "BOOL", [1], [1])
      file.add("e\u{301}", "U8", [1], [1])
    }
    try expectNano()
    let result = try expectSuccess(["inspect", "model", "--stats", "--json"], in: scratch.folder)
    #expect(result.warnings.contains { $0.contains("not part of the architecture") })
    #expect((try result.json()["tensors"] as? [Any])?.count == 158)
    let back = try TensorFile(scratch.url("back/model.safetensors"))
    #expect(try back.bytes("scalar") == Data([1, 2, 3, 4, 5, 6, 7, 8]))
    #expect(try back.bytes("e\u{301}") == Data([1]))
    // Found by hand: 2^60 rows of nothing were cut into chunks.
    try scratch.write(
      "{\"kiln_recipe\":1,\"rules\":[{\"name\":\"rows\",\"scheme\":\"f32\"}]}", to: "recipe.json")
    try expectSuccess(
      ["quantize", "model", "rows.kiln", "--recipe", "recipe.json"], in: scratch.folder)
  }

  @Test("tensors in any order, in the header and in the data")
  func order() throws {
    try scratch.nano()
    try Damage.header(scratch) { file in
      var generator = SeededGenerator(seed: 20_265)
      let copy = file
      file.header = copy.header.filter { $0.key == "__metadata__" }
      file.data = Data()
      for name in copy.header.keys.filter({ $0 != "__metadata__" }).sorted().shuffled(
        using: &generator)
      {
        let entry = try #require(copy.header[name] as? [String: Any])
        file.add(
          name, try #require(entry["dtype"] as? String), try #require(entry["shape"] as? [Int]),
          [UInt8](try copy.bytes(name)))
      }
    }
    try expectNano()
  }

  @Test("the layout of the Hugging Face cache")
  func cache() throws {
    try FileManager.default.createDirectory(
      at: scratch.url("models--x--nano/snapshots/abc"), withIntermediateDirectories: true)
    try scratch.copy(Fixture.sharded(), as: "models--x--nano/blobs")
    for name in try FileManager.default.contentsOfDirectory(atPath: Fixture.sharded().path) {
      try FileManager.default.createSymbolicLink(
        atPath: scratch.path("models--x--nano/snapshots/abc/\(name)"),
        withDestinationPath: "../../blobs/\(name)")
    }
    try expectNano("models--x--nano/snapshots/abc")
  }

  @Test("CRLF in text files, ranks in any order, blank lines, no newline at the end")
  func textFiles() throws {
    try scratch.nano()
    try scratch.edit("model/config.json") { bytes in
      bytes = Array(
        String(decoding: bytes, as: UTF8.self).replacingOccurrences(of: "\n", with: "\r\n").utf8)
    }
    try scratch.edit("model/tiktoken.model") { bytes in
      var generator = SeededGenerator(seed: 20_266)
      let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
      bytes = Array(lines.shuffled(using: &generator).joined(separator: "\r\n").utf8)
    }
    try expectNano()
  }

  @Test("one file without a folder's usual names, and a folder with one unnamed file")
  func names() throws {
    try scratch.nano()
    try FileManager.default.moveItem(
      at: scratch.url(Damage.weights), to: scratch.url("model/nano-v2.safetensors"))
    try expectNano()
    try expectNano("model/nano-v2.safetensors")
    try FileManager.default.moveItem(
      at: scratch.url("model/nano-v2.safetensors"), to: scratch.url("model/weights"))
    try expectNano("model/weights")
  }

  @Test("a packed file by any name, alone or in a folder")
  func packedNames() throws {
    try FileManager.default.createDirectory(
      at: scratch.url("folder"), withIntermediateDirectories: false)
    try scratch.link(Fixture.packed(), as: "folder/model.kiln")
    try scratch.link(Fixture.packed(), as: "weights.bin")
    for model in ["folder", "folder/", "weights.bin"] {
      let mean =
        try expectSuccess(
          ["perplexity", model, "--text", "text.txt", "--json"], in: scratch.folder
        ).json()["mean_nll"] as? Double
      #expect(try mean == Self.expected())
    }
  }

  @Test("a checkpoint that only can be read")
  func readOnly() throws {
    try scratch.copy(Fixture.nano, as: "model", changing: ["config.json", "tiktoken.model"])
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o555], ofItemAtPath: scratch.path("model"))
    try expectNano()
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: scratch.path("model"))
  }
}

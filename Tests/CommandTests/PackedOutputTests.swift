// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Packed models in several files, and compressed ones.
@Suite("Packed outputs")
struct PackedOutputTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.link(Fixture.packed(), as: "in.kiln")
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func kiln(_ arguments: String...) throws {
    try expectSuccess(arguments, in: scratch.folder)
  }

  private func data(_ name: String) throws -> Data { try Data(contentsOf: scratch.url(name)) }

  private func perplexity(_ model: String) throws -> Double {
    let result = try expectSuccess(
      ["perplexity", model, "--text", "text.txt", "--json"], in: scratch.folder)
    return try #require(try result.json()["perplexity"] as? Double)
  }

  @Test("compressed tensors are smaller, the same model, and come back to the same bytes")
  func compressed() throws {
    try kiln("convert", "model", "z.kiln", "--compress", "zstd")
    #expect(try data("z.kiln").count < data("in.kiln").count * 78 / 100)
    try kiln("convert", "z.kiln", "back.kiln")
    #expect(try data("back.kiln") == data("in.kiln"))
    try kiln("convert", "z.kiln", "folder")
    #expect(try data("folder/model.safetensors") == data("model/model.safetensors"))
    try kiln("verify", "z.kiln", "--against", "model")
    #expect(try perplexity("z.kiln") == perplexity("model"))
    for level in ["zstd:0", "zstd:23", "zstd:", "zstd:a", "gzip", "zstd:3:4"] {
      try expectFailure(
        ["convert", "model", "out.kiln", "--compress", level], Code.usage, naming: "compress",
        in: scratch)
    }
  }

  @Test("compressed shards are the model of one file, whatever they hold")
  func compressedShards() throws {
    // Found by reading: only the first shard holds files, and the others began where their header belongs.
    try kiln("convert", "model", "shards", "--compress", "zstd:1", "--shard-size", "1MB")
    try kiln("verify", "shards")
    try kiln("convert", "shards", "back.kiln")
    #expect(try data("back.kiln") == data("in.kiln"))
  }

  @Test("codes that do not compress are written as if nobody had asked")
  func incompressible() throws {
    // One layer's worth of random bytes in place of weights: no block becomes smaller.
    var generator = SeededGenerator()
    try scratch.edit("model/model.safetensors") { bytes in
      let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
      for index in stride(from: 8 + length, to: bytes.count - 1, by: 2) {
        // BF16 from -1 to 1 with any mantissa and many exponents, and never NaN.
        bytes[index] = .random(in: .min ... .max, using: &generator)
        bytes[index + 1] = .random(in: 0...0x3F, using: &generator)
      }
    }
    for scheme in ["int4-g32", "int8-row"] {
      try kiln("quantize", "model", "plain.kiln", "--scheme", scheme, "--force", "-q")
      try kiln(
        "quantize", "model", "z.kiln", "--scheme", scheme, "--compress", "zstd", "--force", "-q")
      #expect(try data("z.kiln").count <= data("plain.kiln").count, "\(scheme)")
    }
    // Of several files too, made at once or alone.
    let shards = ["--scheme", "int8-row", "--shard-size", "1MB", "-q"]
    try kiln("quantize", "model", "plain.kiln", "--scheme", "int8-row", "--force", "-q")
    try expectSuccess(
      ["quantize", "model", "shards", "--compress", "zstd"] + shards, in: scratch.folder)
    try kiln("verify", "shards", "--against", "plain.kiln")
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("shards")).sorted()
    try #require(names.count > 2)
    try expectSuccess(
      ["quantize", "model", "part", "--compress", "zstd", "--shards", "2"] + shards,
      in: scratch.folder)
    #expect(try data("part/\(names[1])") == data("shards/\(names[1])"))
  }

  @Test("shards made at once, or each alone, are the model of one file")
  func shards() throws {
    let quantize = ["--scheme", "int4-g32", "--shard-size", "1MB", "-q"]
    try kiln("quantize", "model", "whole.kiln", "--scheme", "int4-g32", "-q")
    try expectSuccess(["quantize", "model", "shards"] + quantize, in: scratch.folder)
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("shards")).sorted()
    try #require(names.count > 2)
    for number in 1...names.count {
      try expectSuccess(
        ["quantize", "model", "part", "--shards", "\(number)", "--force"] + quantize,
        in: scratch.folder)
      let name = names[number - 1]
      #expect(try data("part/\(name)") == data("shards/\(name)"))
      // The next one goes into the same folder.
      #expect(try data("part/\(names[0])") == data("shards/\(names[0])"))
    }
    try kiln("convert", "part", "collected.kiln")
    #expect(try data("collected.kiln") == data("whole.kiln"))
    try kiln("verify", "shards", "--against", "whole.kiln")
    try kiln("convert", "shards", "merged.kiln")
    #expect(try data("merged.kiln") == data("whole.kiln"))
    #expect(try perplexity("shards") == perplexity("whole.kiln"))
    // One file alone, one too few, and numbers that there are not.
    try expectFailure(
      ["tokenize", "shards/\(names[1])", "--text", "text.txt"], Code.badData,
      naming: "shard 2 of \(names.count)", in: scratch)
    let shard = try expectSuccess(["inspect", "shards/\(names[1])", "--json"], in: scratch.folder)
    #expect(try shard.json()["shards"] as? Int == 1)
    #expect(try shard.json()["shard_count"] as? Int == names.count)
    try FileManager.default.removeItem(at: scratch.url("shards/\(names[1])"))
    try expectFailure(
      ["inspect", "shards"], Code.badData, naming: "shard 2 of \(names.count) is missing",
      in: scratch)
    for numbers in ["0", "99", "2-99", "3-2", "x", "1-2-3", ""] {
      try expectFailure(
        ["quantize", "model", "out", "--shards", numbers] + quantize, Code.usage, in: scratch)
    }
    try expectFailure(
      ["convert", "model", "out.kiln", "--shards", "1"], Code.usage, naming: "--shard-size",
      in: scratch)
  }

  @Test("shards replace the weights of a folder, and leave its other files")
  func replacing() throws {
    try kiln("convert", "in.kiln", "out")
    try scratch.write("mine", to: "out/notes.txt")
    try kiln("convert", "model", "out", "--shard-size", "4MB", "--force")
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("out"))
    #expect(!names.contains { $0.hasSuffix(".safetensors") })
    #expect(names.contains("notes.txt"))
    try kiln("verify", "out", "--against", "model")
  }
}

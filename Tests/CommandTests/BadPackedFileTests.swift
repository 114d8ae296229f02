// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Damaged packed files")
struct BadPackedFileTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func arguments(_ command: String) -> [String] {
    command == "convert"
      ? ["convert", "model.kiln", "out"] : Damage.arguments(command, model: "model.kiln")
  }

  private func expectFailures(naming name: String) throws {
    for command in Damage.allCommands {
      let result = try expectFailure(
        arguments(command), Code.badData, naming: "model.kiln", in: scratch)
      #expect(result.messages.first?.contains(name) == true, "\(command): \(result.errors)")
    }
  }

  @Test("cut anywhere", arguments: [1, 8, 63, 64, 4096, 100_000, 3_000_000])
  func cut(_ size: Int) throws {
    try scratch.link(Fixture.quantized(), as: "model.kiln")
    try scratch.edit("model.kiln") { $0.removeLast($0.count - size) }
    try expectFailures(naming: "model.kiln")
  }

  @Test("longer than it says")
  func longer() throws {
    try scratch.link(Fixture.quantized(), as: "model.kiln")
    try scratch.edit("model.kiln") { $0.append(0) }
    try expectFailures(naming: "bytes")
  }

  @Test("another version is named")
  func version() throws {
    try scratch.link(Fixture.packed(), as: "model.kiln")
    try scratch.edit("model.kiln") { $0[8] += 1 }
    try expectFailures(naming: "version 2")
  }

  @Test("a flipped bit in prelude or header is always found")
  func flippedBits() throws {
    var generator = SeededGenerator(seed: 20_261)
    let length = 28_000
    for place in Array(0..<64)
      + (0..<40).map({ _ in Int.random(in: 64..<length, using: &generator) })
    {
      try scratch.link(Fixture.packed(), as: "model.kiln")
      try scratch.edit("model.kiln") {
        $0[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      }
      try expectFailure(["inspect", "model.kiln"], Code.badData, naming: "model.kiln", in: scratch)
      try FileManager.default.removeItem(at: scratch.url("model.kiln"))
    }
  }

  @Test("damaged data never ends a command otherwise than by its own will")
  func damagedData() throws {
    var generator = SeededGenerator(seed: 20_262)
    for source in [try Fixture.packed(), try Fixture.quantized()] {
      for _ in 0..<3 {
        try scratch.link(source, as: "model.kiln")
        try scratch.edit("model.kiln") { bytes in
          for _ in 0..<1000 {
            bytes[Int.random(in: 65_536..<bytes.count, using: &generator)] = .random(
              in: 0...255, using: &generator)
          }
        }
        for arguments in [
          ["inspect", "model.kiln", "--stats"], ["perplexity", "model.kiln", "--text", "text.txt"],
        ] {
          let result = try Tool.run(arguments, in: scratch.folder)
          #expect([0, Code.badData].contains(result.status), "\(result.errors)")
        }
        try FileManager.default.removeItem(at: scratch.url("model.kiln"))
      }
    }
  }

  /// Headers that contradict themselves although every checksum is right.
  @Test(
    "a hostile header",
    arguments: [
      ("\"name\":\"config.json\"", "\"name\":\"../evil\"", "../evil"),
      ("\"name\":\"config.json\"", "\"name\":\"model.safetensors\"", "model.safetensors"),
      ("\"name\":\"config.json\"", "\"name\":\"\"", "plain file name"),
      ("\"encoding\":\"bf16\"", "\"encoding\":\"int4-g32\"", "int4-g32"),
      ("\"encoding\":\"bf16\"", "\"encoding\":\"int3\"", "int3"),
      ("\"shape\":[2048,256]", "\"shape\":[2048,9223372036854775807]", "too large"),
      ("\"assemblies\":[]", "\"assemblies\":{}", "assemblies"),
      (
        "\"assemblies\":[]",
        "\"assemblies\":[{\"name\":\"a\",\"dtype\":\"BF16\",\"shape\":[256],\"parts\":[\"b\"]}]",
        "part \\\"b\\\""
      ),
      (
        "\"assemblies\":[]",
        """
        "assemblies":[{"name":"a","dtype":"BF16","shape":[0],"parts":[]},\
        {"name":"a","dtype":"BF16","shape":[0],"parts":[]}]
        """, "has no parts"
      ),
      (
        "\"assemblies\":[]",
        """
        "assemblies":[{"name":"lm_head.weight","dtype":"BF16","shape":[0],"parts":[]}]
        """, "lm_head.weight"
      ),
    ])
  func hostile(_ old: String, _ new: String, _ name: String) throws {
    try scratch.link(Fixture.packed(), as: "model.kiln")
    try PackedFile.replaceInHeader(scratch.url("model.kiln"), old, with: new)
    try expectFailures(naming: name.replacingOccurrences(of: "\\", with: ""))
  }

  @Test("a packed file is not rounded a second time")
  func alreadyQuantized() throws {
    try scratch.link(Fixture.quantized(), as: "model.kiln")
    try expectFailure(
      ["quantize", "model.kiln", "out.kiln", "--scheme", "int8-g32"], Code.usage,
      naming: "int4-g32",
      in: scratch)
    try expectFailure(
      ["convert", "model.kiln", "out", "--compress", "zstd"], Code.usage, naming: "out", in: scratch
    )
  }
}

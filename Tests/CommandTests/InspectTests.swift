// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("inspect, help and version")
struct InspectTests {
  @Test(
    "help opens with examples that name the command",
    arguments: ["", "inspect", "convert", "quantize", "verify", "perplexity", "tokenize"])
  func help(_ command: String) throws {
    let arguments = command.isEmpty ? [] : [command]
    let help = try expectSuccess(arguments + ["--help"])
    let examples = try #require(help.text.range(of: "EXAMPLES"))
    let usage = try #require(help.text.range(of: "USAGE: kiln"))
    #expect(examples.lowerBound < usage.lowerBound)
    #expect(help.text[examples.upperBound..<usage.lowerBound].contains("  kiln \(command)"))
    #expect(try expectSuccess(arguments + ["-h"]).text == help.text)
    #expect(try expectSuccess(["help"] + arguments).text == help.text)
    let version = try expectSuccess(arguments + ["--version"]).text
    #expect(version.split(separator: ".").count == 3 && version.hasSuffix("\n"))
  }

  @Test("folder, lone file and packed file show the same model")
  func kinds() throws {
    let scratch = try Scratch()
    let model = try scratch.nano()
    let packed = try Fixture.packed().path
    for (path, kind) in [
      (model, "checkpoint folder"), (model + "/model.safetensors", "safetensors file"),
      (packed, "packed file"), (try Fixture.sharded().path, "checkpoint folder"),
    ] {
      let text = try expectSuccess(["inspect", path]).text
      #expect(text.hasPrefix("\(path): \(kind)"))
      #expect(text.contains("4 layers (3 KDA, 1 MLA)"))
      let json = try expectSuccess(["inspect", path, "--json"]).json()
      #expect(json["path"] as? String == path)
      #expect(json["kind"] as? String == kind)
      #expect(json["layers"] as? Int == 4)
      #expect(json["kda_layers"] as? Int == 3)
      #expect(json["tensor_count"] as? Int == 151)
      #expect(json["parameters"] as? Int == 5_240_100)
      #expect(json["tensor_bytes"] as? Int == 10_481_808)
      #expect(json["tensors"] == nil)
      for key in [
        "files", "file_bytes", "architecture", "mla_layers", "moe_layers", "hidden_size",
        "vocabulary_size", "experts", "experts_per_token", "active_parameters", "bits_per_weight",
        "cache_bytes_per_token", "state_bytes_per_sequence", "roles", "encodings", "recipe",
      ] {
        #expect(json[key] != nil, "\(key)")
      }
    }
  }

  @Test("tensors, filtered by a part of the name or a pattern for all of it")
  func tensors() throws {
    for path in [Fixture.nano.path, try Fixture.packed().path] {
      for (filter, count) in [
        ("experts.0.", 9), ("*.layers.1.*.w1.weight", 8), ("lm_head.weight", 1), ("weight*", 0),
        ("model.layers.?.self_attn.A_log", 3), ("nothing", 0),
      ] {
        let json = try expectSuccess(
          ["inspect", path, "--tensors", "--filter", filter, "--json"]
        ).json()
        #expect((json["tensors"] as? [Any])?.count == count, "\(filter)")
        let text = try expectSuccess(["inspect", path, "--tensors", "--filter", filter]).text
        #expect(text.contains("tensor"))
      }
    }
    let json = try expectSuccess(["ls", Fixture.nano.path, "--tensors", "--json"]).json()
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.count == 151)
    let head = try #require(tensors.first { $0["name"] as? String == "lm_head.weight" })
    #expect(head["shape"] as? [Int] == [2048, 256])
    #expect(head["encoding"] as? String == "bf16")
    #expect(head["source_dtype"] as? String == "BF16")
    #expect(head["bytes"] as? Int == 1_048_576)
    #expect(head["role"] as? String == "head")
  }

  @Test("statistics are those of the values, whatever holds them and with any number of threads")
  func statistics() throws {
    func statistics(_ path: String, _ threads: Int) throws -> [String] {
      let result = try expectSuccess(
        ["inspect", path, "--stats", "--json", "--threads", "\(threads)"])
      let tensors = try #require(try result.json()["tensors"] as? [[String: Any]])
      return try tensors.map { tensor in
        let text = try JSONSerialization.data(withJSONObject: tensor, options: .sortedKeys)
        return String(decoding: text, as: UTF8.self)
      }.sorted()
    }
    let expected = try statistics(Fixture.nano.path, 1)
    #expect(expected.count == 151)
    #expect(try statistics(Fixture.packed().path, 2) == expected)
    #expect(try statistics(Fixture.sharded().path, 8) == expected)
  }

  @Test("results on standard output, progress on standard error, no colours")
  func streams() throws {
    let plain = try expectSuccess(["inspect", Fixture.nano.path])
    #expect(plain.errors.isEmpty)
    for environment in [["NO_COLOR": "1"], ["NO_COLOR": ""], ["TERM": "xterm-256color"]] {
      let result = try expectSuccess(["inspect", Fixture.nano.path], environment: environment)
      #expect(result.output == plain.output)
    }
    #expect(!plain.text.contains("\u{1B}"))
  }

  @Test("paths: relative, with dots, slashes at the end, not ASCII")
  func paths() throws {
    let scratch = try Scratch()
    try scratch.copy(Fixture.nano, as: "Größe 陶 e\u{301}")
    try scratch.copy(Fixture.nano, as: "-dash")
    for path in [
      "Größe 陶 e\u{301}", "./Größe 陶 e\u{301}/", "Größe 陶 e\u{301}//", "-dash/../Größe 陶 e\u{301}",
      scratch.path("-dash"),
    ] {
      try expectSuccess(["inspect", path], in: scratch.folder)
    }
    try expectSuccess(["inspect", "--", "-dash"], in: scratch.folder)
    try expectSuccess(["inspect", "."], in: scratch.url("-dash"))
    try expectSuccess(["convert", "./-dash/../-dash/", "./-dash/../陶.kiln"], in: scratch.folder)
    #expect(try scratch.listing().contains("陶.kiln"))
  }
}

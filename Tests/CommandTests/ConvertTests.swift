// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("convert, quantize and verify")
struct ConvertTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
  }

  private func expectSameTensors(_ left: [URL], _ right: [URL]) throws {
    func tensors(_ files: [URL]) throws -> [String: (String, Data)] {
      try files.reduce(into: [:]) { tensors, url in
        let file = try TensorFile(url)
        for (name, value) in file.header where name != "__metadata__" {
          let entry = try #require(value as? [String: Any])
          tensors[name] = ("\(entry["dtype"] ?? "") \(entry["shape"] ?? "")", try file.bytes(name))
        }
      }
    }
    let (left, right) = (try tensors(left), try tensors(right))
    #expect(left.keys.sorted() == right.keys.sorted())
    for (name, value) in left {
      #expect(right[name]?.0 == value.0 && right[name]?.1 == value.1, "\(name)")
    }
  }

  private func shards(_ folder: String) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(atPath: scratch.path(folder))
      .filter { $0.hasSuffix(".safetensors") }.sorted().map { scratch.url("\(folder)/\($0)") }
  }

  @Test("what belongs to a checkpoint comes along by the path of its file as by that of its folder")
  func carriedFiles() throws {
    try scratch.nano()
    let carried = ["chat_template.jinja", "generation_config.json", "tokenization_kimi.py"]
    for name in carried { try scratch.write("{}", to: "model/\(name)") }
    try FileManager.default.createDirectory(
      at: scratch.url("model/assets"), withIntermediateDirectories: false)
    for source in ["model", "model/model.safetensors"] {
      let result = try expectSuccess(["convert", source, "a.kiln", "--force"], in: scratch.folder)
      #expect(
        result.warnings.count == 1 && result.warnings[0].contains("assets"), "\(result.errors)")
      try expectSuccess(["convert", "a.kiln", "back", "--force"], in: scratch.folder)
      let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("back"))
      #expect(Set(carried).isSubset(of: names), "\(names)")
    }
    // One file of two is not the checkpoint: what it leaves behind is said.
    try scratch.link(Fixture.packed(), as: "model/other.kiln")
    let result = try expectSuccess(
      ["convert", "model/model.safetensors", "b.kiln"], in: scratch.folder)
    #expect(result.warnings.contains { $0.contains("chat_template.jinja") }, "\(result.errors)")
    // A command that writes no checkpoint has nothing to leave behind.
    #expect(try expectSuccess(["inspect", "model"], in: scratch.folder).warnings.count == 1)
  }

  @Test("an export in float32 says so, and is the same model")
  func exportedType() throws {
    try scratch.link(Fixture.quantized(), as: "int4.kiln")
    let before = try Data(contentsOf: Fixture.nano.appendingPathComponent("config.json"))
    for (options, type) in [([], "float32"), (["--dtype", "bf16"], "bfloat16")] {
      try expectSuccess(["convert", "int4.kiln", "out", "--force"] + options, in: scratch.folder)
      let text = try String(contentsOf: scratch.url("out/config.json"), encoding: .utf8)
      #expect(
        text
          == String(decoding: before, as: UTF8.self).replacing(
            "\"dtype\": \"bfloat16\"", with: "\"dtype\": \"\(type)\""))
    }
  }

  @Test("an export names the type that quantize has given it")
  func exportedTypeOfSchemes() throws {
    func dtype(of folder: String) throws -> String? {
      let text = try String(contentsOf: scratch.url("\(folder)/config.json"), encoding: .utf8)
      return try #require(text.firstMatch(of: #/"dtype": "(\w+)"/#)).1.description
    }
    func rewrite(_ source: String, _ scheme: String, _ folder: String) throws {
      try expectSuccess(
        ["quantize", source, "x.kiln", "--scheme", scheme, "--force"], in: scratch.folder)
      try expectSuccess(["convert", "x.kiln", folder], in: scratch.folder)
    }
    try scratch.nano()
    try rewrite("model", "f32", "wide")
    #expect(try dtype(of: "wide") == "float32")
    // What is float32 in the checkpoint becomes bfloat16 in the same way.
    try rewrite("wide", "bf16", "narrow")
    #expect(try dtype(of: "narrow") == "bfloat16")
    // What came from bfloat16 and is so again is the original.
    try rewrite("model", "bf16", "same")
    #expect(try dtype(of: "same") == "bfloat16")
    try expectSuccess(["convert", "wide", "wide.kiln"], in: scratch.folder)
    try expectSuccess(["convert", "wide.kiln", "again"], in: scratch.folder)
    #expect(try dtype(of: "again") == "float32")
  }

  @Test("there and back again, in one file and in shards, every byte is the same")
  func roundTrip() throws {
    let model = try scratch.nano()
    try expectSuccess(["convert", model, scratch.path("a.kiln")])
    try expectSuccess(["convert", scratch.path("a.kiln"), scratch.path("whole")])
    try expectSuccess(
      ["convert", scratch.path("a.kiln"), scratch.path("parts"), "--shard-size", "2MiB"])
    #expect(try shards("whole").map(\.lastPathComponent) == ["model.safetensors"])
    #expect(try shards("parts").count > 4)
    for folder in ["whole", "parts"] {
      try expectSameTensors(shards("model"), shards(folder))
      for name in ["config.json", "tiktoken.model", "tokenizer_config.json"] {
        #expect(
          try Data(contentsOf: scratch.url("model/" + name))
            == Data(contentsOf: scratch.url("\(folder)/\(name)")))
      }
      // From either, the packed file is the same.
      try expectSuccess(["convert", scratch.path(folder), scratch.path("\(folder).kiln")])
      #expect(
        try Data(contentsOf: scratch.url("a.kiln"))
          == Data(contentsOf: scratch.url("\(folder).kiln")))
    }
    try expectSuccess(["verify", scratch.path("a.kiln")])
  }

  @Test("a checkpoint of several shards", .enabled(if: Fixture.hasShared, "needs the shared data"))
  func mini() throws {
    let source = try #require(Fixture.shared("checkpoints/mini"))
    try expectSuccess(["convert", source.path, scratch.path("mini.kiln")])
    try expectSuccess(["convert", scratch.path("mini.kiln"), scratch.path("mini")])
    let files = try FileManager.default.contentsOfDirectory(atPath: source.path)
      .filter { $0.hasSuffix(".safetensors") }
    try expectSameTensors(files.map { source.appendingPathComponent($0) }, shards("mini"))
  }

  @Test("the same bytes with any number of threads", arguments: ["rtn", "search"])
  func threads(_ method: String) throws {
    var files: [Data] = []
    for threads in ["1", "2", "8"] {
      let output = scratch.url("\(method)-\(threads).kiln")
      try expectSuccess(
        ["quantize", Fixture.nano.path, output.path, "--scheme", "int4-g32", "--method", method]
          + ["--threads", threads])
      files.append(try Data(contentsOf: output))
    }
    #expect(files[0] == files[1] && files[0] == files[2])
  }

  @Test("quantize reports what it did, as text and as JSON")
  func report() throws {
    let output = scratch.path("out.kiln")
    let json = try expectSuccess(
      ["quantize", Fixture.nano.path, output, "--scheme", "int8-g32", "--json"]
        + ["--set", "head=bf16", "--set", "embedding=int4-g64"]
    ).json()
    let size = try #require(
      try FileManager.default.attributesOfItem(atPath: output)[.size] as? Int)
    #expect(json["file_bytes"] as? Int == size)
    #expect(json["dry_run"] as? Bool == false)
    let roles = try #require(json["roles"] as? [String: [String: Any]])
    #expect(roles["head"]?["encodings"] as? [String: Int] == ["bf16": 1])
    #expect(roles["embedding"]?["encodings"] as? [String: Int] == ["int4-g64": 1])
    #expect(roles["norm"]?["relative_error"] is NSNull)
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.count == 151)
    for key in ["bits_per_weight", "relative_error", "source_bytes", "peak_memory_bytes_estimate"] {
      #expect(json[key] is Double || json[key] is Int, "\(key)")
    }
    let plan = try expectSuccess(
      ["quantize", Fixture.nano.path, output, "--scheme", "int8-g32", "--dry-run", "--force"]
    ).text
    #expect(plan.contains("would write") && plan.contains("peak memory"))
    let recipe = try expectSuccess(["inspect", output, "--json"]).json()["recipe"]
    #expect(recipe is [String: Any])
  }

  @Test("a recipe from a file gives what its flags would")
  func recipe() throws {
    try scratch.write(
      """
      {"kiln_recipe": 1, "method": "rtn", "rules": [
        {"role": ["routed_expert", "head"], "layers": ["1-2"], "scheme": "int4-g32"},
        {"name": "model.layers.3.*.w?.weight", "scheme": "int8-row"}], "default": "source"}
      """, to: "recipe.json")
    try expectSuccess(
      ["quantize", Fixture.nano.path, scratch.path("a.kiln")]
        + ["--recipe", scratch.path("recipe.json")])
    let json = try expectSuccess(["inspect", scratch.path("a.kiln"), "--json"]).json()
    let encodings = try #require(json["encodings"] as? [String: [String: Any]])
    #expect(encodings["int4-g32"]?["tensors"] as? Int == 48)
    #expect(encodings["int8-row"]?["tensors"] as? Int == 24)
  }

  @Test("verify finds damage that opening cannot, and exits with 2")
  func verify() throws {
    try scratch.link(Fixture.quantized(), as: "a.kiln")
    #expect(try expectSuccess(["verify", "a.kiln"], in: scratch.folder).text.contains("sound"))
    try scratch.edit("a.kiln") { $0[$0.count - 1000] ^= 1 }
    let result = try Tool.run(["verify", "a.kiln", "--json"], in: scratch.folder)
    #expect(result.status == 2)
    #expect(try result.json()["sound"] as? Bool == false)
    #expect(result.messages.count == 1)
    try scratch.edit("a.kiln") { $0[100] ^= 1 }
    #expect(try Tool.run(["verify", "a.kiln"], in: scratch.folder).status == 2)
    try expectFailure(["verify", "none"], Code.missingInput, naming: "none", in: scratch)
  }
}

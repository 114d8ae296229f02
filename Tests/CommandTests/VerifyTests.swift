// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("verify --against")
struct VerifyTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
  }

  @Test("a packed file and what it was made from: identical, as text and as JSON")
  func identical() throws {
    let packed = try Fixture.packed().path
    for required in ["identical", "equal", "bound"] {
      let result = try expectSuccess(
        ["verify", packed, "--against", Fixture.nano.path, "--require", required])
      #expect(result.text.hasPrefix("\(packed) and \(Fixture.nano.path) are identical"))
    }
    let json = try expectSuccess(
      ["verify", Fixture.nano.path, "--against", Fixture.sharded().path, "--json"]
    ).json()
    #expect(json["verdict"] as? String == "identical")
    #expect(json["required"] as? String == "equal" && json["met"] as? Bool == true)
    #expect(json["rounded"] is NSNull && (json["rounded_to"] as? [Any])?.isEmpty == true)
    #expect((json["counts"] as? [String: Int])?["identical"] == 151)
    #expect((json["findings"] as? [Any])?.isEmpty == true)
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.count == 151)
    #expect(
      Set(tensors[0].keys) == [
        "name", "role", "verdict", "encoding", "against_encoding", "shape", "against_shape",
        "unequal_count", "differing_count", "replaced_count", "first_difference", "max_error",
        "max_error_at", "bound_ratio",
      ])
  }

  @Test("a quantized file is within the bound, for any number of threads, and that is not equal")
  func quantized() throws {
    let quantized = try Fixture.quantized().path
    let reports = try ["1", "2", "8"].map { threads in
      try expectSuccess(
        [
          "verify", quantized, "--against", Fixture.nano.path, "--require", "bound", "--json",
          "--threads", threads,
        ]
      ).output
    }
    #expect(reports[0] == reports[1] && reports[0] == reports[2])
    let json = try #require(
      try JSONSerialization.jsonObject(with: reports[0]) as? [String: Any])
    #expect(json["verdict"] as? String == "bound" && json["rounded"] as? String == "path")
    #expect(json["rounded_to"] as? [String] == ["int4-g32", "int8-g32"])
    #expect((json["counts"] as? [String: Int])?["within_bound"] == 102)
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.allSatisfy { ($0["bound_ratio"] as? Double).map { $0 <= 1 } ?? false })

    for arguments in [[], ["--require", "equal"], ["--require", "identical"]] {
      let result = try Tool.run(
        ["verify", quantized, "--against", Fixture.nano.path] + arguments)
      #expect(result.status == 2)
      #expect(result.messages.count == 1)
      #expect(
        result.messages.first?.hasSuffix(
          "not equal to \(Fixture.nano.path), but within the bound of int4-g32, int8-g32;"
            + " --require bound accepts that") == true)
      #expect(result.text.contains("is a rounding of \(Fixture.nano.path) to int4-g32, int8-g32"))
    }
    // The other way round it is the other side that was rounded.
    let back = try Tool.run(["verify", Fixture.nano.path, "--against", quantized, "--json"])
    #expect(back.status == 2)
    #expect(try back.json()["rounded"] as? String == "against")
  }

  @Test("two quantizations of one source differ, whatever is required")
  func quantizations() throws {
    let other = scratch.path("other.kiln")
    try expectSuccess(
      ["quantize", Fixture.nano.path, other, "--scheme", "int4-g32", "--method", "search"])
    let result = try Tool.run(
      ["verify", other, "--against", Fixture.quantized().path, "--require", "bound"])
    #expect(result.status == 2 && result.messages[0].contains("differs from"))
    // By role, with the count, before any single tensor; single tensors are cut.
    let lines = result.text.split(separator: "\n").map(String.init)
    #expect(lines[0].hasSuffix("differ: 102 of 151 tensors"))
    #expect(lines.contains { $0.hasPrefix("72 routed_expert tensors of layers 1-3, the worst: ") })
    #expect(lines.contains("… and 82 more; --json lists all"))
    #expect(!result.text.contains("same model"))
  }

  @Test("an export in float32 is equal to what it was made of")
  func exported() throws {
    let quantized = try Fixture.quantized().path
    let folder = scratch.path("f32")
    try expectSuccess(["convert", quantized, folder, "--dtype", "f32"])
    let result = try expectSuccess(["verify", folder, "--against", quantized])
    #expect(result.text.contains("are equal: the same values"))
    let strict = try Tool.run(
      ["verify", folder, "--against", quantized, "--require", "identical"])
    #expect(strict.status == 2)
    #expect(strict.messages[0].contains("equal to") && strict.messages[0].contains("not identical"))
  }

  @Test("the verdict names what was compared, and in what equal models are not identical")
  func wording() throws {
    let source = try scratch.nano()
    let file = try TensorFile(scratch.url("model/model.safetensors"))
    func verdict(_ model: String, _ other: String) throws -> String {
      let text = try expectSuccess(["verify", model, "--against", other], in: scratch.folder).text
      return String(text.prefix { $0 != "\n" })
    }
    #expect(
      try verdict("model", source).hasSuffix(
        "are identical: the same encodings, bytes, configuration and tokenizer"))
    // A lone file has neither.
    try FileManager.default.createDirectory(
      at: scratch.url("lone"), withIntermediateDirectories: false)
    try file.write(to: scratch.url("lone/lone.safetensors"))
    #expect(
      try verdict("lone/lone.safetensors", "model").hasSuffix(
        "the same encodings and bytes; configuration and tokenizer were not compared"))
    let compared = try expectSuccess(
      ["verify", "lone/lone.safetensors", "--against", "model", "--json"], in: scratch.folder
    ).json()["compared"]
    #expect(compared as? [String] == ["tensors"])
    // Only a key about the file differs.
    try scratch.copy(Fixture.nano, as: "other", changing: ["config.json", "model.safetensors"])
    try scratch.replace(
      "\"dtype\": \"bfloat16\"", with: "\"dtype\": \"float32\"", in: "other/config.json")
    #expect(
      try verdict("other", "model").hasSuffix(
        "equal: the same encodings and bytes; config.json differs in keys that make no other model")
    )
    // Only the sign of a zero differs.
    try scratch.copy(Fixture.nano, as: "zero", changing: ["model.safetensors"])
    try scratch.copy(Fixture.nano, as: "minus", changing: ["model.safetensors"])
    for (folder, sign) in [("zero", UInt8(0)), ("minus", 0x80)] {
      var changed = file
      try changed.poke("model.norm.weight", [0, sign])
      try changed.write(to: scratch.url("\(folder)/model.safetensors"))
    }
    #expect(
      try verdict("zero", "minus").hasSuffix(
        "equal: the same values in other bytes, such as -0 for 0, in 1 tensor"))
  }

  @Test("what --require does not know, and --require alone")
  func required() throws {
    try scratch.link(Fixture.packed(), as: "a.kiln")
    try expectFailure(
      ["verify", "a.kiln", "--against", "a.kiln", "--require", "eqal"], Code.usage,
      naming: "eqal", in: scratch)
    try expectFailure(
      ["verify", "a.kiln", "--require", "equal"], Code.usage, naming: "--against", in: scratch)
  }

  @Test("a long list of findings is cut with a count, and JSON has all")
  func longList() throws {
    try scratch.nano()
    var file = try TensorFile(scratch.url("model/model.safetensors"))
    for name in file.header.keys.filter({ $0.contains("experts") && $0.hasSuffix(".weight") }) {
      try file.poke(name, [0xC0, 0x7F])
    }
    try file.write(to: scratch.url("model/model.safetensors"))
    let result = try Tool.run(["verify", "model"], in: scratch.folder)
    let lines = result.text.split(separator: "\n")
    #expect(result.status == 2 && lines.count == 21)
    #expect(lines.last == "… and 61 more; --json lists all")
    let json = try Tool.run(["verify", "model", "--json"], in: scratch.folder).json()
    #expect((json["findings"] as? [Any])?.count == 81)
  }

  @Test("a changed weight and a changed configuration are named, and the exit code is 2")
  func different() throws {
    try scratch.nano()
    let name = "model.layers.1.self_attn.q_proj.weight"
    var file = try TensorFile(scratch.url("model/model.safetensors"))
    try file.poke(name, [1, 2])
    try file.write(to: scratch.url("model/model.safetensors"))
    try scratch.edit("model/config.json") { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      bytes = Array(
        text.replacingOccurrences(of: "\"model_type\"", with: "\"odd\": 1, \"model_type\"").utf8)
    }
    let packed = try Fixture.packed().path
    let result = try Tool.run(["verify", "model", "--against", packed], in: scratch.folder)
    #expect(result.status == 2)
    #expect(result.messages.count == 1 && result.messages[0].contains("differs from"))
    // The cause comes first.
    let lines = result.text.split(separator: "\n")
    #expect(lines[0].hasSuffix("differ: config.json, 1 of 151 tensors"))
    #expect(lines[1] == "config.json: \"odd\" is 1, against nothing")
    #expect(result.text.contains("\(name): 1 of 65,536 values differ"))
    #expect(result.text.contains("the first at [0, 0]; bf16 against bf16"))
    let json = try Tool.run(
      ["verify", "model", "--against", packed, "--json", "--quiet"], in: scratch.folder
    ).json()
    #expect(json["verdict"] as? String == "different" && json["met"] as? Bool == false)
    let tensor = try #require(
      (json["tensors"] as? [[String: Any]])?.first { $0["verdict"] as? String == "different" })
    #expect(tensor["name"] as? String == name)
    #expect(tensor["first_difference"] as? [Int] == [0, 0])
  }

  @Test("what cannot be opened is an error and no difference")
  func errors() throws {
    try scratch.link(Fixture.packed(), as: "a.kiln")
    try expectFailure(
      ["verify", "a.kiln", "--against", "none"], Code.missingInput, naming: "none", in: scratch)
    try scratch.write("{", to: "b.kiln")
    try expectFailure(
      ["verify", "a.kiln", "--against", "b.kiln"], Code.badData, naming: "b.kiln", in: scratch)
  }

  @Test("verify names tensors that it does not know, and a tokenizer that does not fit")
  func warnings() throws {
    try scratch.nano()
    var file = try TensorFile(scratch.url("model/model.safetensors"))
    file.add("vision.weight", "U8", [1], [1])
    try file.write(to: scratch.url("model/model.safetensors"))
    let result = try expectSuccess(["verify", "model"], in: scratch.folder)
    #expect(result.warnings.count == 1 && result.warnings[0].contains("vision.weight"))
    #expect(try expectSuccess(["verify", "model", "-q"], in: scratch.folder).warnings.isEmpty)
    // One token more than the embedding has rows.
    try scratch.edit("model/tiktoken.model") { bytes in
      bytes += Array("/////////w== 2048\n".utf8)
    }
    let broken = try Tool.run(["verify", "model"], in: scratch.folder)
    #expect(broken.status == 2 && broken.text.contains("tokenizer: "))
  }
}

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
    let result = try expectSuccess(["verify", packed, "--against", Fixture.nano.path])
    #expect(result.text.contains("identical") && result.text.contains("the same model"))
    let json = try expectSuccess(
      ["verify", Fixture.nano.path, "--against", Fixture.sharded().path, "--json"]
    ).json()
    #expect(json["same"] as? Bool == true)
    #expect((json["counts"] as? [String: Int])?["identical"] == 151)
    #expect((json["findings"] as? [Any])?.isEmpty == true)
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.count == 151)
    #expect(
      Set(tensors[0].keys) == [
        "name", "verdict", "encoding", "against_encoding", "shape", "against_shape",
        "unequal_count", "differing_count", "replaced_count", "first_difference", "max_error",
        "max_error_at", "bound_ratio",
      ])
  }

  @Test(
    "a quantized file is within the bound, and the same report comes from any number of threads")
  func quantized() throws {
    let quantized = try Fixture.quantized().path
    let reports = try ["1", "2", "8"].map { threads in
      try expectSuccess(
        ["verify", quantized, "--against", Fixture.nano.path, "--json", "--threads", threads]
      ).output
    }
    #expect(reports[0] == reports[1] && reports[0] == reports[2])
    let json = try #require(
      try JSONSerialization.jsonObject(with: reports[0]) as? [String: Any])
    #expect((json["counts"] as? [String: Int])?["within_bound"] == 102)
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.allSatisfy { ($0["bound_ratio"] as? Double).map { $0 <= 1 } ?? false })
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
    #expect(result.messages.count == 1 && result.messages[0].contains("2 differences"))
    #expect(result.text.contains("\(name): 1 of 65,536 values differ"))
    #expect(result.text.contains("the first at [0, 0]; bf16 against bf16"))
    #expect(result.text.contains("config.json: \"odd\" is 1, against nothing"))
    let json = try Tool.run(
      ["verify", "model", "--against", packed, "--json", "--quiet"], in: scratch.folder
    ).json()
    #expect(json["same"] as? Bool == false)
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

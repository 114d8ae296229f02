// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Models of which Kiln could compute one thing or another: it says so, and does not choose by itself.
@Suite("Models that may mean two things")
struct AmbiguousModelTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func setConfiguration(_ old: String, _ new: String) throws {
    try scratch.replace(old, with: new, in: "model/config.json")
  }

  private func mean(_ arguments: String...) throws -> Double {
    let result = try expectSuccess(
      ["perplexity", "model", "--text", "text.txt", "--json"] + arguments, in: scratch.folder)
    return try #require(try result.json()["mean_nll"] as? Double)
  }

  private func warnings(_ arguments: [String]) throws -> [String] {
    try Tool.run(arguments, in: scratch.folder).warnings
  }

  @Test(
    "a key that changes the computation: not run, but converted with a warning",
    arguments: [
      (
        "\"head_dim\": 64,\n    \"num_heads\"",
        "\"head_dim\": 64, \"gate_lower_bound\": -5.0, \"num_heads\"",
        "\"linear_attn_config.gate_lower_bound\" is -5.0"
      ),
      ("{", "{\"mla_use_output_gate\": true,", "\"mla_use_output_gate\" is true"),
      ("{", "{\"attn_logit_softcapping\": 50.0,", "\"attn_logit_softcapping\" is 50.0"),
      ("{", "{\"text_config\": {\"use_qk_norm\": true},", "\"text_config.use_qk_norm\" is true"),
    ])
  func unknownKey(_ old: String, _ new: String, _ named: String) throws {
    try setConfiguration(old, new)
    let calibrated = ["--method", "gptq", "--calibration", "text.txt"]
    for command in [
      ["perplexity", "model", "--text", "text.txt"], ["generate", "model", "--prompt", "x"],
      ["bench", "model", "--only", "decode"],
      ["calibrate", "model", "c", "--calibration", "text.txt"],
      ["quantize", "model", "out.kiln", "--scheme", "int4-g32"] + calibrated,
      ["perplexity", Fixture.nano.path, "--text", "text.txt", "--against", "model"],
    ] {
      try expectFailure(command, Code.badData, naming: "config.json", named, in: scratch)
    }
    for command in [
      ["inspect", "model"], ["verify", "model"], ["convert", "model", "a.kiln"],
      ["quantize", "model", "b.kiln", "--scheme", "int4-g32"], ["inspect", "a.kiln"],
    ] {
      let result = try expectSuccess(command, in: scratch.folder)
      #expect(result.warnings.contains { $0.contains(named) }, "\(command): \(result.errors)")
    }
    try expectFailure(
      ["perplexity", "a.kiln", "--text", "text.txt"], Code.badData, naming: named, in: scratch)
  }

  @Test("keys that are off, or of no consequence, change nothing and say nothing")
  func harmlessKeys() throws {
    let expected = try mean()
    try setConfiguration(
      "{", "{\"gate_lower_bound\": null, \"mla_use_output_gate\": false, \"wandb_id\": \"x\",")
    let result = try expectSuccess(
      ["perplexity", "model", "--text", "text.txt"], in: scratch.folder)
    #expect(result.warnings.isEmpty)
    #expect(try mean() == expected)
    // Only inspect lists a key without consequence.
    #expect(try Tool.run(["inspect", "model"], in: scratch.folder).errors.contains("wandb_id"))
  }

  @Test("tied embeddings and a head that differs: refused until one is chosen")
  func head() throws {
    let stored = try mean()
    try setConfiguration("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true")
    for command in [
      ["perplexity", "model", "--text", "text.txt"], ["generate", "model", "--prompt", "x"],
      ["bench", "model", "--only", "decode"],
      [
        "quantize", "model", "o.kiln", "--scheme", "int4-g32", "--method", "gptq", "--calibration",
        "text.txt",
      ],
    ] {
      try expectFailure(
        command, Code.badData, naming: "lm_head.weight", "--head tied", in: scratch)
    }
    #expect(try mean("--head", "stored") == stored)
    let tied = try mean("--head", "tied")
    #expect(tied != stored)
    for command in [["inspect", "model"], ["convert", "model", "a.kiln"]] {
      #expect(try warnings(command).contains { $0.contains("lm_head.weight") })
    }
    let verified = try Tool.run(["verify", "model"], in: scratch.folder)
    #expect(verified.status == 2 && verified.text.contains("lm_head.weight"))
    // Both matrices have come along.
    #expect(
      try expectSuccess(["verify", "a.kiln", "--against", "model"], in: scratch.folder).status == 0)
    // The same with a head that is the embedding, about which there is nothing to say.
    var file = try TensorFile(scratch.url(Damage.weights))
    let embedding = try file.bytes("model.embed_tokens.weight")
    try file.poke("lm_head.weight", [UInt8](embedding))
    try file.write(to: scratch.url(Damage.weights))
    #expect(try mean() == tied)
    #expect(try warnings(["perplexity", "model", "--text", "text.txt"]).isEmpty)
    try expectFailure(
      ["perplexity", Fixture.nano.path, "--text", "text.txt", "--head", "tied"], Code.usage,
      naming: "--head tied", in: scratch)
  }

  @Test("a stored head that is the embedding is not rounded on its own")
  func surplusHead() throws {
    try setConfiguration("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true")
    let file = try TensorFile(scratch.url(Damage.weights))
    let embedding = try file.bytes("model.embed_tokens.weight")
    // The same values as float32: the upper halves of its bits.
    var wide: [UInt8] = []
    for pair in embedding.indices.filter({ ($0 - embedding.startIndex).isMultiple(of: 2) }) {
      wide += [0, 0, embedding[pair], embedding[pair + 1]]
    }
    for (dtype, bytes) in [("BF16", [UInt8](embedding)), ("F32", wide)] {
      var changed = file
      (changed.header, changed.data) = ([:], Data())
      for name in file.header.keys.sorted() where name != "__metadata__" {
        let entry = try #require(file.header[name] as? [String: Any])
        let isHead = name == "lm_head.weight"
        changed.add(
          name, isHead ? dtype : try #require(entry["dtype"] as? String),
          try #require(entry["shape"] as? [Int]),
          isHead ? bytes : [UInt8](try file.bytes(name)))
      }
      try changed.write(to: scratch.url(Damage.weights))
      try expectSuccess(["verify", "model"], in: scratch.folder)
      for flags in [
        ["--scheme", "int8-g32", "--set", "head=bf16"],
        ["--scheme", "int4-g32", "--set", "embedding=int4-g32"],
        ["--scheme", "int8-g32", "--method", "search", "--calibration", "text.txt"],
      ] {
        let command = ["quantize", "model", "t.kiln", "--force"] + flags
        let result = try expectSuccess(command, in: scratch.folder)
        #expect(result.warnings.contains { $0.contains("lm_head.weight is the embedding") })
        try expectSuccess(["perplexity", "t.kiln", "--text", "text.txt"], in: scratch.folder)
        // Scales that a text has chosen may clip: that is another matter.
        guard !flags.contains("--calibration") else { continue }
        try expectSuccess(
          ["verify", "t.kiln", "--against", "model", "--require", "bound"], in: scratch.folder)
      }
      // Where neither is rounded, both come along.
      try expectSuccess(["convert", "model", "c.kiln", "--force"], in: scratch.folder)
      try expectSuccess(
        ["verify", "c.kiln", "--against", "model", "--require", "identical"], in: scratch.folder)
    }
  }

  @Test("a stray model.safetensors next to an index is left out, with a warning")
  func strayFile() throws {
    let expected = try mean()
    try FileManager.default.removeItem(at: scratch.url("model"))
    try scratch.copy(Fixture.sharded(), as: "model")
    var other = try TensorFile(Fixture.nano.appendingPathComponent("model.safetensors"))
    try other.poke("model.norm.weight", [UInt8](repeating: 0x40, count: 512))
    try other.write(to: scratch.url("model/model.safetensors"))
    #expect(try mean() == expected)
    for command in [["inspect", "model"], ["perplexity", "model", "--text", "text.txt"]] {
      #expect(try warnings(command).contains { $0.contains("model.safetensors is left out") })
    }
  }

  @Test("tokens behind the reserved ones, float64 and dots in an index are no reason to refuse")
  func oddities() throws {
    try scratch.replace(
      "\"added_tokens_decoder\": {",
      with: "\"added_tokens_decoder\": {\"2048\": {\"content\": \"<tool>\"},",
      in: "model/tokenizer_config.json")
    // One id more than the model has rows: nothing that a conversion needs.
    let result = try expectSuccess(["convert", "model", "a.kiln"], in: scratch.folder)
    #expect(result.warnings.contains { $0.contains("vocab_size") })
    try expectFailure(
      ["perplexity", "model", "--text", "text.txt"], Code.badData, naming: "vocab_size", in: scratch
    )

    try scratch.nano()
    try Damage.header(scratch) { file in
      let norm = try file.range("model.norm.weight")
      file.header["old"] = file.entry("BF16", [256], norm)
      file.add("model.norm.weight", "F64", [256], [UInt8](repeating: 0, count: 2048))
    }
    #expect(try warnings(["convert", "model", "b.kiln"]).contains { $0.contains("F64") })
    try expectFailure(
      ["perplexity", "model", "--text", "text.txt"], Code.badData, naming: "model.norm.weight",
      "F64", in: scratch)
    try expectSuccess(["convert", "b.kiln", "back"], in: scratch.folder)
    let (there, back) = (
      try TensorFile(scratch.url(Damage.weights)),
      try TensorFile(scratch.url("back/model.safetensors"))
    )
    #expect(try there.bytes("model.norm.weight") == back.bytes("model.norm.weight"))
  }

  @Test("a token behind the reserved ones that has a row")
  func addedToken() throws {
    let expected = try mean()
    try scratch.replace(
      "\"added_tokens_decoder\": {",
      with: "\"added_tokens_decoder\": {\"2048\": {\"content\": \"<tool>\"},",
      in: "model/tokenizer_config.json")
    try setConfiguration("\"vocab_size\": 2048", "\"vocab_size\": 2049")
    var file = try TensorFile(scratch.url(Damage.weights))
    var grown = file
    (grown.header, grown.data) = ([:], Data())
    for (name, entry) in file.header.sorted(by: { $0.key < $1.key }) {
      guard let entry = entry as? [String: Any], let dtype = entry["dtype"] as? String,
        var shape = entry["shape"] as? [Int]
      else { continue }
      var bytes = [UInt8](try file.bytes(name))
      if shape.first == 2048 {
        shape[0] = 2049
        bytes += Array(bytes.prefix(512))
      }
      grown.add(name, dtype, shape, bytes)
    }
    file = grown
    try file.write(to: scratch.url(Damage.weights))
    #expect(abs(try mean() - expected) < 0.01)
    let ids = try expectSuccess(
      ["tokenize", "model", "--text", "-", "--special"], input: "<tool>", in: scratch.folder)
    #expect(ids.text == "2048\n")
  }
}

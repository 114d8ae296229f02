// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("inspect: which tensors, in which order")
struct InspectSelectionTests {
  private func tensors(_ arguments: String...) throws -> [[String: Any]] {
    let json = try expectSuccess(["inspect", Fixture.nano.path, "--json"] + arguments).json()
    return try #require(json["tensors"] as? [[String: Any]])
  }

  private func names(_ arguments: [String]) throws -> [String] {
    let json = try expectSuccess(["inspect", Fixture.nano.path, "--json"] + arguments).json()
    return try #require(json["tensors"] as? [[String: Any]]).compactMap { $0["name"] as? String }
  }

  @Test(
    "each flag lists tensors by itself, and several narrow each other",
    arguments: [
      (["--filter", "A_log"], 3), (["--role", "router"], 3), (["--role", "router,router_bias"], 6),
      (["--role", "router", "--role", "head"], 4), (["--layer", "0"], 20),
      (["--layer", "1-2", "--role", "router"], 2), (["--layer", "1,3", "--role", "router"], 2),
      (["--encoding", "f32"], 9), (["--dtype", "F32"], 9), (["--encoding", "f32,bf16"], 151),
      (["--encoding", "f32", "--filter", "bias"], 6), (["--limit", "7"], 7),
      (["--filter", "A_log", "--filter", "*.dt_bias"], 6),
      (["--filter", "A_log", "--filter", "none such"], 3),
      (["--sort", "name"], 151), (["--role", "kda_gate", "--layer", "3"], 0),
    ])
  func selection(_ arguments: [String], count: Int) throws {
    #expect(try names(arguments).count == count)
  }

  @Test("numbers fall, names rise, --reverse turns both round, and what is cut is counted")
  func order() throws {
    let bytes = try tensors("--sort", "bytes").compactMap { $0["bytes"] as? Int }
    #expect(bytes == bytes.sorted(by: >) && bytes.count == 151)
    let all = try names(["--sort", "name"])
    #expect(all == all.sorted())
    #expect(try names(["--sort", "name", "--reverse"]) == all.reversed())
    let layers = try tensors("--sort", "layer").map { $0["layer"] as? Int }
    #expect(layers.first == 0 && layers.suffix(3).allSatisfy { $0 == nil })
    let cut = try expectSuccess(["inspect", Fixture.nano.path, "--sort", "bytes", "--limit", "2"])
    #expect(cut.text.contains("… and 149 more"))
    #expect(cut.text.contains("lm_head.weight") && !cut.text.contains("A_log"))
  }

  @Test("a statistic to sort by is measured and shown")
  func statistics() throws {
    let sorted = try tensors("--sort", "absmax", "--layer", "0")
    let magnitudes = try sorted.map { tensor in
      let statistics = try #require(tensor["statistics"] as? [String: Any])
      return try #require(statistics["absmax"] as? Double)
    }
    #expect(magnitudes == magnitudes.sorted(by: >) && magnitudes.count == 20)
    #expect(try tensors("--sort", "absmax", "--limit", "1").count == 1)
    // The limit is taken after the order.
    let first = try #require(try tensors("--sort", "absmax", "--limit", "1").first)
    #expect((first["name"] as? String)?.hasSuffix("dt_bias") == true)
  }

  @Test(
    "a filter that matches nothing names what was probably meant",
    arguments: [
      ("q_porj", "\"q_proj\""), ("model.layers.1.*experst*", "\"experts\""),
      ("lm_haed.weight", "\"lm_head.weight\""), ("*.A_lgo", "\"A_log\""),
      ("layers.3.self_atn", "\"layers.3.self_attn\""),
    ])
  func suggestion(_ filter: String, _ meant: String) throws {
    let result = try expectSuccess(["inspect", Fixture.nano.path, "--filter", filter])
    #expect(result.warnings.count == 1)
    #expect(result.warnings.first?.contains("did you mean \(meant), as in ") == true)
  }

  @Test(
    "a filter of another kind leads to one that matches",
    arguments: [
      ("mlp.experts", "\"*block_sparse_moe.experts*\""), ("re:.*", "regular expressions: \"*\""),
      ("re:.*lm_head$", "\"*lm_head*\""), ("LM_HEAD", "lm_head"),
    ])
  func translation(_ filter: String, _ meant: String) throws {
    let result = try expectSuccess(["inspect", Fixture.nano.path, "--filter", filter])
    #expect(result.warnings.count == 1)
    #expect(result.warnings.first?.contains(meant) == true, "\(result.errors)")
  }

  @Test(
    "an empty list names what was asked for, and what there is",
    arguments: [
      (["--layer", "9"], "no tensor is in layer 9; layers are 0-3"),
      (
        ["--filter", "lm_head", "--layer", "0-9223372036854775807"],
        "no tensor matches \"lm_head\" and is in layer 0-9223372036854775807"
      ),
      (["--layer", "9", "--role", "norm"], "no tensor is in layer 9; layers are 0-3"),
      (["--role", "other"], "no tensor is of role other; there are embedding, "),
      (["--encoding", "int4-g32"], "no tensor is in int4-g32; encodings are bf16, f32"),
      (["--role", "router", "--layer", "0"], "no tensor is of role router and is in layer 0"),
      (
        ["--filter", "A_log", "--layer", "3"], "no tensor matches \"A_log\" and is in layer 3"
      ),
    ])
  func empty(_ arguments: [String], _ reason: String) throws {
    let result = try expectSuccess(["inspect", Fixture.nano.path] + arguments)
    #expect(result.warnings.count == 1)
    #expect(
      result.warnings.first?.hasPrefix("kiln: warning: \(reason)") == true, "\(result.errors)")
  }

  @Test("roles of a foreign model are not known, which is said")
  func foreignRoles() throws {
    let scratch = try Scratch()
    try scratch.nano(changing: "config.json")
    try scratch.write(#"{"model_type": "llama"}"#, to: "model/config.json")
    let result = try expectSuccess(["inspect", "model", "--role", "head"], in: scratch.folder)
    #expect(result.warnings.last?.contains("only in models of the Kimi Linear family") == true)
  }

  @Test("nothing is suggested where nothing is near, or where only the flags exclude each other")
  func noSuggestion() throws {
    for arguments in [
      ["--filter", "vision_tower_patch_embedding"], ["--filter", "A_log", "--layer", "3"],
      ["--role", "router", "--layer", "0"],
    ] {
      let result = try expectSuccess(["inspect", Fixture.nano.path] + arguments)
      #expect(result.warnings.count == 1 && !result.warnings[0].contains("did you mean"))
    }
  }
}

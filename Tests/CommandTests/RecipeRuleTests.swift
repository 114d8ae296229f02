// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Rules and flags of a quantization that have no effect: each is told, or refused.
@Suite("Rules without effect")
struct RecipeRuleTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func recipe(_ rules: String) throws {
    try scratch.write(#"{"kiln_recipe": 1, "rules": [\#(rules)]}"#, to: "r.json")
  }

  private let quantize = ["quantize", "model", "x.kiln", "--dry-run"]

  @Test("a rule that matches no tensor is told with the one that would, and refused by --strict")
  func unmatched() throws {
    try recipe(
      """
      {"name": "re:.*lm_head", "scheme": "bf16"},
      {"name": "model.layers.*.mlp.experts.*", "scheme": "int8-g32"},
      {"role": "routed_expert", "layers": "90-99", "scheme": "int8-g32"},
      {"role": ["head", "routed_expert"], "scheme": "int4-g32"}
      """)
    let arguments = quantize + ["--recipe", "r.json"]
    let result = try expectSuccess(arguments, in: scratch.folder)
    #expect(result.warnings.count == 3, "\(result.errors)")
    for (warning, parts) in zip(
      result.warnings,
      [
        ["r.json: rule 1", "re:.*lm_head", #""*lm_head*" would match lm_head.weight"#],
        ["r.json: rule 2", #""model.layers.*.block_sparse_moe.experts.*" would match"#],
        ["r.json: rule 3", "layers are 0-"],
      ])
    {
      for part in parts { #expect(warning.contains(part), "\(warning)") }
    }
    try expectFailure(
      arguments + ["--strict"], Code.usage, naming: "rule 1", "rule 2", "rule 3", in: scratch)
    // What it names does work.
    try recipe(
      """
      {"name": "*lm_head*", "scheme": "bf16"},
      {"name": "model.layers.*.block_sparse_moe.experts.*", "scheme": "int8-g32"}
      """)
    let mended = try expectSuccess(arguments + ["--strict"], in: scratch.folder)
    #expect(mended.warnings.isEmpty)
  }

  @Test("the plan counts what each rule decides about")
  func counts() throws {
    try recipe(
      """
      {"role": "router", "name": "*experts*", "scheme": "bf16"},
      {"role": "routed_expert", "layers": 1, "scheme": "int8-g32"},
      {"role": "routed_expert", "scheme": "int4-g32"}
      """)
    let document = try expectSuccess(
      quantize + ["--recipe", "r.json", "--set", "head=bf16", "--json"], in: scratch.folder
    ).json()
    let rules = try #require(document["rules"] as? [[String: Any]])
    // nano has three layers of eight experts with three matrices each.
    #expect(rules.compactMap { $0["tensors"] as? Int } == [1, 0, 24, 48])
    let tensors = try #require(document["tensors"] as? [[String: Any]])
    let int8 = tensors.filter { $0["encoding"] as? String == "int8-g32" }
    #expect(int8.reduce(0) { $0 + ($1["bytes"] as? Int ?? 0) } == rules[2]["bytes"] as? Int)
    let warnings = try #require(document["warnings"] as? [String])
    #expect(warnings.count == 1 && warnings[0].contains("rule 1"))
  }

  @Test("overrides that are of no account are told: of a role without tensors, or given twice")
  func overrides() throws {
    let twice = try expectSuccess(
      quantize + ["--scheme", "int4-g32", "--set", "head=bf16", "--set", "head=int8-g64"],
      in: scratch.folder)
    #expect(twice.warnings.count == 1, "\(twice.errors)")
    #expect(twice.warnings.first?.contains("--set head=bf16 decides about no tensor") == true)
    #expect(twice.warnings.first?.contains("--set head=int8-g64") == true)
    try recipe(#"{"role": "routed_expert", "scheme": "int4-g32"}"#)
    let shadowed = try expectSuccess(
      quantize + ["--recipe", "r.json", "--set", "routed_expert=int8-g32"], in: scratch.folder)
    #expect(shadowed.warnings.first?.contains("r.json: rule 1") == true, "\(shadowed.errors)")
    // Of Kiln's own rules nothing is said.
    let all = ["embedding", "head", "mla_projection"].flatMap { ["--set", "\($0)=bf16"] }
    let own = try expectSuccess(
      quantize + ["--scheme", "int4-g32", "--strict"] + all, in: scratch.folder)
    #expect(own.warnings.isEmpty, "\(own.errors)")
  }

  @Test("a recipe that changes nothing at all is told, and refused by --strict")
  func emptyRecipe() throws {
    try recipe("")
    let arguments = quantize + ["--recipe", "r.json"]
    let result = try expectSuccess(arguments, in: scratch.folder)
    #expect(result.warnings.contains { $0.contains("r.json: has no rules") }, "\(result.errors)")
    try expectFailure(arguments + ["--strict"], Code.usage, naming: "no rules", in: scratch)
  }

  @Test("flags of other commands that change nothing are told")
  func otherFlags() throws {
    try scratch.link(Fixture.packed(), as: "in.kiln")
    let generate = ["generate", "model", "--prompt", "x", "--max-tokens", "2"]
    for (arguments, words) in [
      (generate + ["--top-k", "5"], "--top-k 5"), (generate + ["--top-p", "0.5"], "--top-p 0.5"),
      (generate + ["--seed", "9"], "--seed 9"),
      (["perplexity", "model", "--text", "text.txt", "--head", "stored"], "--head stored"),
      (
        ["perplexity", "model", "--text", "text.txt", "--head", "stored", "--against", "model"],
        "--head stored: both models"
      ),
      (["convert", "in.kiln", "folder", "--dtype", "bf16", "--dry-run"], "--dtype bf16"),
      (["inspect", "model", "--sort", "weight_error"], "--sort weight_error"),
    ] {
      let result = try Tool.run(arguments, in: scratch.folder)
      #expect(result.status == 0)
      let warnings = result.warnings.filter { $0.contains("changes nothing") }
      #expect(warnings.count == 1 && warnings[0].contains(words), "\(arguments): \(result.errors)")
    }
    for arguments in [
      generate + ["--temperature", "0.5", "--top-k", "5", "--top-p", "0.5", "--seed", "9"],
      ["convert", "in.kiln", "folder", "--dry-run"],
    ] {
      #expect(try Tool.run(arguments, in: scratch.folder).warnings.isEmpty)
    }
  }

  @Test("flags that change nothing are told")
  func flags() throws {
    try recipe(#"{"role": "routed_expert", "scheme": "int4-g32", "method": "rtn"}"#)
    for (flags, parts) in [
      (["--recipe", "r.json", "--method", "search"], ["--method search", "other methods"]),
      (["--scheme", "bf16", "--method", "search"], ["--method search", "no tensor is rounded"]),
      (["--scheme", "bf16", "--calibration", "text.txt"], ["--calibration text.txt"]),
      (["--scheme", "int4-g32", "--calibration", "text.txt"], ["--calibration", "rtn"]),
      (
        ["--scheme", "int4-g32", "--method", "gptq", "--calibration", "text.txt"]
          + ["--calibration-windows", "500", "--calibration-context", "64"],
        ["--calibration-windows 500", "windows of 64 tokens"]
      ),
    ] {
      let result = try expectSuccess(quantize + flags, in: scratch.folder)
      #expect(
        result.warnings.contains { warning in parts.allSatisfy { warning.contains($0) } },
        "\(flags): \(result.errors)")
    }
    try expectFailure(
      quantize + ["--scheme", "int4-g32", "--calibration-windows", "4"], Code.usage,
      naming: "--calibration-windows", in: scratch)
  }
}

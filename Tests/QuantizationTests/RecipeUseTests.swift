// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import Quantization
import TensorCore
import Testing

/// Rules that have no effect on a model, and what is said about them.
@Suite struct RecipeUseTests {
  /// A model of four layers, the first of which is dense; MLA in the last.
  private static let names =
    ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    + (0..<4).flatMap { layer -> [String] in
      let attention =
        layer == 3
        ? ["q_proj.weight", "kv_b_proj.weight", "o_proj.weight"]
        : [
          "q_proj.weight", "o_proj.weight", "q_conv1d.weight", "f_a_proj.weight", "A_log",
          "dt_bias",
        ]
      let feedForward =
        layer == 0
        ? ["mlp.gate_proj.weight", "mlp.down_proj.weight"]
        : [
          "block_sparse_moe.gate.weight", "block_sparse_moe.experts.0.w1.weight",
          "block_sparse_moe.experts.0.w2.weight", "block_sparse_moe.experts.1.w1.weight",
          "block_sparse_moe.shared_experts.up_proj.weight",
        ]
      return (attention.map { "self_attn.\($0)" } + feedForward).map {
        "model.layers.\(layer).\($0)"
      }
    }

  private static func tensors(_ names: [String] = names) throws -> [RecipeUse.Tensor] {
    try names.map { name in
      let isMatrix = name.hasSuffix("weight") && !name.contains("norm") && !name.contains("conv")
      return RecipeUse.Tensor(
        name: ExactString(name),
        role: TensorRole(name: ExactString(name)) { $0 < 3 },
        shape: try #require(TensorShape(isMatrix ? [64, 64] : [64])), source: .plain(.bf16))
    }
  }

  private func problems(_ rules: String, _ names: [String] = names) throws -> [String] {
    let recipe = try Recipe(
      parsing: Array(#"{"kiln_recipe": 1, "rules": [\#(rules)]}"#.utf8), file: "r.json")
    return try RecipeUse(recipe, of: Self.tensors(names)).problems(
      labels: recipe.rules.indices.map { "rule \($0 + 1)" })
  }

  @Test(arguments: [
    // What other tools understand.
    ("re:.*lm_head", #""*lm_head*" would match lm_head.weight"#),
    ("re:.*lm_head$", #""*lm_head*" would match lm_head.weight"#),
    ("^model.layers.0.self_attn.(q|o)_proj.weight$", #""model.layers.0.self_attn.*_proj.weight""#),
    (".*o_proj.*", #""*o_proj*" would match 4 tensors"#),
    // transformers' names.
    ("model.layers.*.mlp.experts.*", #""model.layers.*.block_sparse_moe.experts.*" would match 9"#),
    (
      "model.layers.1.mlp.experts.down_proj",
      #""model.layers.1.block_sparse_moe.experts.*.w2.weight""#
    ),
    ("model.layers.*.mlp.experts.gate_up_proj", "w1 and w3"),
    ("model.layers.*.mlp.experts.*.gate_proj.weight", #"experts.*.w1.weight""#),
    ("model.layers.*.self_attn.conv1d.weight", #""model.layers.*.self_attn.?_conv1d.weight""#),
    ("*.forget_gate.f_a_proj.weight", #""*.f_a_proj.weight" would match 3"#),
    ("*forget_gate*", #""*f_?_proj*" would match 3"#),
    ("*.mlp.shared_experts.*", #""*.block_sparse_moe.shared_experts.*""#),
    // What is only incomplete.
    ("lm_head", #"there is "lm_head.weight""#), ("embed_tokens", #""model.embed_tokens.weight""#),
    ("layers.2.*", #""model.layers.2.*""#), ("q_proj", #""*q_proj.weight" would match 4"#),
    (
      "language_model.model.layers.*.mlp.down_proj.weight",
      #""model.layers.*.mlp.down_proj.weight""#
    ),
    ("language_model.lm_head.weight", #"there is "lm_head.weight""#),
    ("LM_HEAD.weight", #"there is "lm_head.weight""#), ("*.a_log", #""*.A_log""#),
    ("model.layers.7.*", "there is no layer 7; layers are 0-3"),
    ("model.embed_tokns.weight", #"the nearest name is "model.embed_tokens.weight""#),
    ("layers.0.self_atn.q_proj", #"the nearest name is "model.layers.*.self_attn.q_proj.weight""#),
  ])
  func `a pattern that matches nothing leads to the one that was meant`(
    pattern: String, hint: String
  ) throws {
    let found = try problems(#"{"name": "\#(pattern)", "scheme": "bf16"}"#)
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("rule 1 matches no tensor") == true, "\(found)")
    #expect(found.first?.contains(hint) == true, "\(found)")
  }

  @Test func `a hint is a pattern that does match`() throws {
    for pattern in ["re:.*lm_head", "*.mlp.experts.*", "lm_head", "*forget_gate*", "*.a_log"] {
      let found = try #require(try problems(#"{"name": "\#(pattern)", "scheme": "bf16"}"#).first)
      // The one part of the line that is quoted.
      let parts = found.split(separator: "\"")
      let hint = try #require(parts.count >= 2 ? parts[1] : nil)
      let matching = try #require(NamePattern(String(hint)))
      #expect(Self.names.contains { matching.matches(ExactString($0)) }, "\(found)")
    }
  }

  @Test(arguments: [
    (#"{"role": "routed_expert", "layers": "90-99", "scheme": "int4-g32"}"#, "layers are 0-3"),
    (#"{"role": "routed_expert", "layers": 0, "scheme": "int4-g32"}"#, "layers are 1-3"),
    (#"{"role": "head", "layers": 3, "scheme": "int4-g32"}"#, "lm_head.weight is in no layer"),
    (#"{"role": "head", "name": "*embed*", "scheme": "bf16"}"#, "has the role embedding"),
  ])
  func `conditions that match nothing together are told`(rule: String, hint: String) throws {
    let found = try problems(rule)
    #expect(found.count == 1 && found[0].contains("matches no tensor"), "\(found)")
    #expect(found.first?.contains(hint) == true, "\(found)")
  }

  @Test func `roles that a model does not have are told`() throws {
    let withoutDense = Self.names.filter { !$0.contains(".mlp.") && $0 != "lm_head.weight" }
    let found = try problems(
      """
      {"role": "dense_mlp", "scheme": "int4-g32"}, {"role": "head", "scheme": "bf16"},
      {"role": ["dense_mlp", "routed_expert"], "layers": [1, "20-26"], "scheme": "int4-g32"}
      """, withoutDense)
    #expect(found.count == 3)
    #expect(found[0].contains("no tensors of role dense_mlp; it has embedding, kda_projection"))
    #expect(found[1].contains("tied to the embedding"))
    #expect(found[2].contains("dense_mlp") && found[2].contains("there is no layer 20-26"))
    #expect(!found[2].contains("matches no tensor"))
  }

  @Test(arguments: [
    (
      #"{"role": ["head", "embedding"], "name": "model.*", "scheme": "bf16"}"#,
      #"role head matches no tensor; lm_head.weight does not match "model.*""#
    ),
    (
      #"{"role": ["head", "shared_expert"], "layers": [2], "scheme": "bf16"}"#,
      "role head matches no tensor; lm_head.weight is in no layer"
    ),
    (
      #"{"role": ["dense_mlp", "routed_expert"], "layers": [1, 2], "scheme": "bf16"}"#,
      "role dense_mlp matches no tensor; for its other conditions layers are 0"
    ),
    (
      #"{"role": "routed_expert", "layers": [0, 1], "scheme": "bf16"}"#,
      "layer 0 matches no tensor; for its other conditions layers are 1-3"
    ),
    (
      #"{"role": "routed_expert", "layers": "1-99", "scheme": "bf16"}"#,
      "there is no layer 4-99; layers are 0-3"
    ),
  ])
  func `a part of a rule that matches nothing with the others is told`(
    rule: String, hint: String
  ) throws {
    #expect(try problems(rule) == ["rule 1: \(hint)"])
  }

  @Test func `parts of a rule that an earlier one decides about are exceptions`() throws {
    let found = try problems(
      """
      {"name": "lm_head.weight", "scheme": "bf16"},
      {"role": ["head", "embedding"], "scheme": "int8-g32"}
      """)
    #expect(found.isEmpty)
  }

  @Test func `a rule behind others that decide all is told, with them`() throws {
    let found = try problems(
      """
      {"name": "lm_*", "scheme": "bf16"}, {"role": "head", "scheme": "int4-g32"},
      {"role": "embedding", "scheme": "int8-g32"}, {"name": "model.embed*", "scheme": "int4-g32"},
      {"role": ["head", "embedding"], "scheme": "int4-g32"}
      """)
    #expect(
      found == [
        "rule 2 decides about no tensor: its one tensor is decided before it by rule 1",
        "rule 4 decides about no tensor: its one tensor is decided before it by rule 3",
        "rule 5 decides about no tensor: all of its 2 tensors are decided before it by rule 1, rule 3",
      ])
  }

  @Test func `a rule about what is never quantized is told`() throws {
    let found = try problems(
      """
      {"name": "*conv1d*", "scheme": "int4-g32"},
      {"name": "model.layers.0.self_attn.A_log", "scheme": "int4-g32"}
      """)
    #expect(found.count == 2)
    #expect(found[0].contains("only tensors that are never quantized"))
    #expect(found[1].contains("changes nothing: model.layers.0.self_attn.A_log"))
  }

  @Test func `rules that do something are counted, and nothing is said`() throws {
    let rules = """
      {"role": "routed_expert", "layers": ["1-2"], "scheme": "int4-g32"},
      {"name": "model.layers.0.*", "scheme": "int8-g32"}, {"role": "head", "scheme": "bf16"}
      """
    #expect(try problems(rules).isEmpty)
    let recipe = try Recipe(
      parsing: Array(#"{"kiln_recipe": 1, "rules": [\#(rules)]}"#.utf8), file: "r.json")
    let use = RecipeUse(recipe, of: try Self.tensors())
    #expect(use.rules.map(\.tensorCount) == [6, 4, 1])
    // 64 rows of 64 codes of 4 bits with 2 scales; of 8 bits; BF16.
    #expect(use.rules.map(\.byteCount) == [6 * 64 * (32 + 4), 4 * 64 * (64 + 4), 64 * 64 * 2])
    // Of rules that are not the user's nothing is said.
    #expect(use.problems(labels: [nil, nil, nil]).isEmpty)
  }
}

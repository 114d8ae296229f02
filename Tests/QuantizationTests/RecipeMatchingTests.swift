// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Quantization
import TensorCore
import Testing

/// Which rule decides about which tensor.
@Suite struct RecipeMatchingTests {
  private func recipe(_ rules: String, default fallback: String = "source") throws -> Recipe {
    let text = #"{"kiln_recipe": 1, "rules": [\#(rules)], "default": "\#(fallback)"}"#
    return try Recipe(parsing: Array(text.utf8), file: "recipe.json")
  }

  private func decide(
    _ recipe: Recipe, _ name: String, _ role: TensorRole, shape: [Int] = [64, 256],
    source: TensorEncoding = .plain(.bf16)
  ) throws -> Decision {
    recipe.decision(
      name: ExactString(name), role: role, shape: try #require(TensorShape(shape)), source: source)
  }

  private let expert = "model.layers.3.block_sparse_moe.experts.17.w1.weight"
  private let query = "model.layers.0.self_attn.q_proj.weight"

  @Test func `the first rule that matches decides`() throws {
    let recipe = try recipe(
      #"{"role": "routed_expert", "scheme": "int4-g32"}, {"name": "*", "scheme": "int8-g32"}"#)
    let first = try decide(recipe, expert, .routedExpert)
    #expect(first.encoding == .quantized(bits: 4, group: .size(32)))
    #expect(first.rule == 0 && first.note == nil && !first.isRefused)
    let second = try decide(recipe, query, .kdaProjection)
    #expect(second.encoding == .quantized(bits: 8, group: .size(32)) && second.rule == 1)
  }

  @Test func `a rule of several roles matches each of them`() throws {
    let recipe = try recipe(#"{"role": ["embedding", "head"], "scheme": "f32"}"#)
    for role in TensorRole.allCases {
      let expected = [.embedding, .head].contains(role) ? DType.f32 : .bf16
      #expect(try decide(recipe, "x", role).encoding == .plain(expected))
    }
  }

  @Test func `role, name and layers must all hold`() throws {
    let recipe = try recipe(
      #"{"role": "routed_expert", "name": "*.w1.weight", "layers": [3], "scheme": "int4-g32"}"#)
    #expect(try decide(recipe, expert, .routedExpert).rule == 0)
    #expect(try decide(recipe, expert, .sharedExpert).rule == nil)
    let second = "model.layers.3.block_sparse_moe.experts.17.w2.weight"
    #expect(try decide(recipe, second, .routedExpert).rule == nil)
    let fourth = "model.layers.4.block_sparse_moe.experts.17.w1.weight"
    #expect(try decide(recipe, fourth, .routedExpert).rule == nil)
  }

  @Test(arguments: [
    (#"[0, "2-3", 26]"#, [0, 2, 3, 26]), (#""0-1""#, [0, 1]), ("2", [2]), (#"["3-3"]"#, [3]),
  ])
  func `layers are numbers and ranges`(layers: String, expected: [Int]) throws {
    let recipe = try recipe(#"{"layers": \#(layers), "scheme": "int8-row"}"#)
    for layer in 0..<30 {
      let name = "model.layers.\(layer).self_attn.q_proj.weight"
      #expect(
        try decide(recipe, name, .kdaProjection).encoding.isQuantized == expected.contains(layer))
    }
    #expect(try decide(recipe, "model.embed_tokens.weight", .embedding).rule == nil)
    #expect(try decide(recipe, "model.layers.x.q", .kdaProjection).rule == nil)
  }

  @Test(arguments: [
    ("*", "model.norm", true), ("model.*", "model.norm", true), ("model.*", "amodel.norm", false),
    ("*.weight", "a.weight", true), ("*.weight", "a.weight.b", false), ("?", "é", true),
    ("?", "ab", false), ("?", "", false), ("a?c", "abc", true), ("a*c*e", "abcde", true),
    ("a*c*e", "abcdef", false), ("a**c", "ac", true), ("abc", "abc", true), ("abc", "abcd", false),
    ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false), ("*ab", "aab", true),
    ("a.b", "axb", false),
    // One code point or two are different names, as they are for tensors.
    ("\u{E9}", "e\u{301}", false),
  ])
  func `patterns`(pattern: String, name: String, expected: Bool) throws {
    #expect(try #require(NamePattern(pattern)).matches(ExactString(name)) == expected)
  }

  @Test func `rules that do not name a protected tensor pass over it`() throws {
    let recipe = try recipe(
      #"{"name": "model.layers.0.*", "scheme": "int8-g32"}, {"layers": [0], "scheme": "f32"}"#,
      default: "int4-g32")
    #expect(try decide(recipe, query, .kdaProjection).rule == 0)
    for role in TensorRole.allCases where !role.isQuantizable {
      let decision = try decide(recipe, "model.layers.0.something.weight", role)
      #expect(decision.encoding == .plain(.bf16) && decision.rule == nil && decision.note == nil)
    }
    #expect(try decide(recipe, "lm_head.weight", .head).encoding.description == "int4-g32")
  }

  @Test func `an exact name of a protected tensor is kept with a note`() throws {
    let recipe = try recipe(#"{"name": "model.norm.weight", "scheme": "int8-g32"}"#)
    let decision = try decide(recipe, "model.norm.weight", .norm)
    #expect(decision.encoding == .plain(.bf16) && decision.rule == 0)
    #expect(decision.note == "tensors of role norm are never quantized")
  }

  @Test func `protected tensors named by role or exact name can change their float type`() throws {
    let recipe = try recipe(
      #"{"role": "norm", "scheme": "f32"}, {"name": "a.b", "scheme": "f32"}"#)
    #expect(try decide(recipe, "x", .norm, shape: [64]).encoding == .plain(.f32))
    #expect(try decide(recipe, "a.b", .router).encoding == .plain(.f32))
  }

  @Test func `the method is the rule's or the recipe's`() throws {
    var recipe = try recipe(
      #"{"role": "head", "scheme": "int8-row", "method": "rtn"}, {"name": "*", "scheme": "int8-row"}"#
    )
    #expect(try decide(recipe, "x", .head).method == .roundToNearest)
    #expect(try decide(recipe, "x", .embedding).method == .roundToNearest)
    recipe.method = .search
    #expect(try decide(recipe, "x", .embedding).method == .search)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import Quantization
import TensorCore
import Testing

/// What a tensor gets of what was asked for, and the default recipes.
@Suite struct RecipePlanTests {
  private func decide(
    _ asked: String, role: TensorRole = .routedExpert, shape: [Int] = [64, 256],
    source: TensorEncoding = .plain(.bf16)
  ) throws -> Decision {
    let scheme = try #require(RecipeScheme(name: asked))
    let recipe = Recipe(
      rules: [RecipeRule(roles: [role], scheme: scheme)], fallback: .source, method: .search)
    return recipe.decision(
      name: "x", role: role, shape: try #require(TensorShape(shape)), source: source)
  }

  @Test(arguments: [
    ("int4-g32", 256, "int4-g32"), ("int4-g128", 192, "int4-g64"), ("int4-g128", 160, "int4-g32"),
    ("int4-g64", 96, "int4-g32"), ("int8-g128", 64, "int8-g64"), ("int4-g32", 48, "int8-row"),
    ("int4-g128", 33, "int8-row"), ("int8-g64", 33, "int8-row"), ("int4-row", 48, "int4-row"),
    ("int4-row", 33, "int8-row"), ("int5-row", 48, "int8-row"), ("int6-g128", 160, "int6-g32"),
    ("int8-row", 33, "int8-row"), ("int8-row", 1, "int8-row"),
  ])
  func `groups that do not fit fall back`(asked: String, columns: Int, planned: String) throws {
    let decision = try decide(asked, shape: [3, columns])
    #expect(decision.encoding.description == planned)
    #expect(decision.encoding.fits(columns: columns))
    #expect(decision.note == (asked == planned ? nil : "rows of \(columns) do not fit \(asked)"))
    #expect(!decision.isRefused)
  }

  @Test func `only matrices of floating-point numbers are quantized`() throws {
    for (shape, note) in [
      ([256], "rank 1; only matrices are quantized"),
      ([2, 4, 64], "rank 3; only matrices are quantized"),
      ([], "rank 0; only matrices are quantized"), ([0, 64], "it has no elements"),
      ([64, 0], "it has no elements"),
    ] {
      let decision = try decide("int8-g32", shape: shape)
      #expect(decision.encoding == .plain(.bf16) && decision.note == note)
    }
    for dtype in DType.allCases {
      let decision = try decide("int8-g32", source: .plain(dtype))
      #expect(decision.encoding.isQuantized == [.bf16, .f16, .f32].contains(dtype))
      #expect((decision.note == nil) == decision.encoding.isQuantized)
    }
    #expect(try decide("bf16", source: .plain(.f64)).encoding == .plain(.f64))
    #expect(try decide("bf16", shape: [4, 1, 8], source: .plain(.f16)).encoding == .plain(.bf16))
  }

  @Test func `codes are copied or refused, never rounded again`() throws {
    let stored = TensorEncoding.quantized(bits: 4, group: .size(32))
    for asked in ["int4-g32", "source"] {
      let decision = try decide(asked, source: stored)
      #expect(decision.encoding == stored && !decision.isRefused && decision.note == nil)
    }
    // What counts is the plan: these rows cannot have larger groups.
    let fallback = try decide("int4-g128", shape: [4, 96], source: stored)
    #expect(fallback.encoding == stored && !fallback.isRefused && fallback.note != nil)
    for asked in ["int8-g32", "int4-g64", "bf16", "f32"] {
      let decision = try decide(asked, source: stored)
      #expect(decision.isRefused && decision.encoding == stored)
      let encoding = try #require(TensorEncoding(schemeName: asked))
      #expect(decision.reason == .alreadyQuantized(stored: stored, asked: encoding))
    }
  }

  @Test func `the default recipe for an integer scheme`() throws {
    for encoding in integerEncodings {
      guard case .quantized(_, let group) = encoding else { continue }
      let recipe = Recipe(defaultFor: encoding, method: .roundToNearest)
      for role in TensorRole.allCases {
        let decision = recipe.decision(
          name: "x", role: role, shape: try #require(TensorShape([8, 256])),
          source: .plain(.bf16))
        #expect(decision.method == .roundToNearest && decision.note == nil)
        switch role {
        case .routedExpert, .sharedExpert, .denseMLP, .kdaProjection:
          #expect(decision.encoding == encoding)
        case .mlaProjection, .embedding, .head:
          #expect(decision.encoding == .quantized(bits: 8, group: group))
        default: #expect(decision.encoding == .plain(.bf16))
        }
      }
    }
  }

  @Test(arguments: [DType.bf16, .f32])
  func `the default recipe for a floating-point scheme`(dtype: DType) throws {
    let recipe = Recipe(defaultFor: .plain(dtype), method: .search)
    for role in TensorRole.allCases {
      let decision = recipe.decision(
        name: "x", role: role, shape: try #require(TensorShape([8, 256])), source: .plain(.f16))
      #expect(decision.encoding == .plain(role.isQuantizable ? dtype : .f16))
    }
  }

  @Test func `an override holds before all rules, the last one first`() throws {
    let four = TensorEncoding.quantized(bits: 4, group: .size(32))
    let recipe = try Recipe(defaultFor: four, method: .search)
      .overriding(role: .head, with: .encoding(.plain(.f32)))
      .overriding(role: .head, with: .source)
      .overriding(role: .norm, with: .encoding(.plain(.f32)))
    let shape = try #require(TensorShape([8, 256]))
    func encoding(_ role: TensorRole) -> TensorEncoding {
      recipe.decision(name: "x", role: role, shape: shape, source: .plain(.bf16)).encoding
    }
    #expect(encoding(.head) == .plain(.bf16))
    #expect(encoding(.norm) == .plain(.f32))
    #expect(encoding(.routedExpert) == four)
    #expect(throws: RecipeError.protectedOverride(role: .router, scheme: four)) {
      try recipe.overriding(role: .router, with: .encoding(four))
    }
  }

  @Test func `the canonical form is read back as the same recipe`() throws {
    let text = """
      {"default": "bf16", "kiln_recipe": 1, "rules": [
        {"scheme": "int8-g32", "layers": ["1-3", "26-26"], "role": ["routed_expert"]},
        {"method": "rtn", "role": ["head", "embedding", "head"], "scheme": "source"},
        {"name": "model.layers.?.*", "layers": 5, "scheme": "f32"}]}
      """
    let recipe = try Recipe(parsing: Array(text.utf8), file: "recipe.json")
    let canonical = JSONWriter.compact(recipe.json)
    #expect(
      String(decoding: canonical, as: UTF8.self)
        == #"{"kiln_recipe":1,"rules":[{"role":"routed_expert","layers":["1-3",26],"#
        + #""scheme":"int8-g32"},{"role":["head","embedding"],"scheme":"source","method":"rtn"},"#
        + #"{"name":"model.layers.?.*","layers":5,"scheme":"f32"}],"default":"bf16","#
        + #""method":"rtn"}"#)
    #expect(try Recipe(parsing: canonical, file: "recipe.json") == recipe)
    #expect(try Recipe(parsing: JSONWriter.pretty(recipe.json), file: "recipe.json") == recipe)
    let standard = Recipe(defaultFor: .quantized(bits: 4, group: .row), method: .roundToNearest)
    #expect(try Recipe(parsing: JSONWriter.compact(standard.json), file: "x") == standard)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import Quantization
import TensorCore
import Testing

/// Recipes that are refused, each with the error that names the file and the place.
@Suite struct RecipeErrorTests {
  private func read(_ text: String) throws {
    _ = try Recipe(parsing: Array(text.utf8), file: "r.json")
  }

  private func rule(_ rule: String) -> String {
    #"{"kiln_recipe": 1, "rules": [{"role": "head", "scheme": "bf16"}, \#(rule)]}"#
  }

  @Test(arguments: [
    (
      #"{"kiln_recipe": 2, "rules": [], "later": 0}"#,
      RecipeError.unsupportedVersion(file: "r.json", found: 2)
    ),
    (
      #"{"kiln_recipe": 1, "rules": [], "defualt": "bf16"}"#,
      .unknownKey(
        file: "r.json", path: "defualt", known: ["kiln_recipe", "rules", "default", "method"])
    ),
    (
      #"{"kiln_recipe": 1, "rules": [], "default": "int5"}"#,
      .unknownScheme(file: "r.json", path: "default", found: "int5")
    ),
    (
      #"{"kiln_recipe": 1, "rules": [], "method": "awq"}"#,
      .unknownMethod(file: "r.json", path: "method", found: "awq")
    ),
  ])
  func `the document`(text: String, expected: RecipeError) {
    #expect(throws: expected) { try read(text) }
  }

  @Test(arguments: [
    (
      #"{"roles": "head", "scheme": "bf16"}"#,
      RecipeError.unknownKey(
        file: "r.json", path: "rules[1].roles",
        known: ["role", "name", "layers", "scheme", "method"])
    ),
    (
      #"{"role": "experts", "scheme": "bf16"}"#,
      .unknownRole(file: "r.json", path: "rules[1].role", found: "experts")
    ),
    (
      #"{"role": ["head", "Head"], "scheme": "bf16"}"#,
      .unknownRole(file: "r.json", path: "rules[1].role[1]", found: "Head")
    ),
    (
      #"{"role": "head", "scheme": "int4"}"#,
      .unknownScheme(file: "r.json", path: "rules[1].scheme", found: "int4")
    ),
    (
      #"{"role": "head", "scheme": "int8-g32", "method": "nearest"}"#,
      .unknownMethod(file: "r.json", path: "rules[1].method", found: "nearest")
    ),
    (
      #"{"name": "", "scheme": "bf16"}"#,
      .badPattern(
        file: "r.json", path: "rules[1].name", pattern: "",
        problem: "an empty pattern matches no tensor")
    ),
    (
      #"{"name": "model.layers.[0-3].*", "scheme": "bf16"}"#,
      .badPattern(
        file: "r.json", path: "rules[1].name", pattern: "model.layers.[0-3].*",
        problem:
          "only * and ? are special in a pattern; brackets and backslashes are not supported")
    ),
    (
      #"{"layers": ["3-1"], "scheme": "bf16"}"#,
      .badLayers(file: "r.json", path: "rules[1].layers[0]", found: "\"3-1\"")
    ),
    (
      #"{"layers": [1, "2"], "scheme": "bf16"}"#,
      .badLayers(file: "r.json", path: "rules[1].layers[1]", found: "\"2\"")
    ),
    (
      #"{"layers": "-1-2", "scheme": "bf16"}"#,
      .badLayers(file: "r.json", path: "rules[1].layers", found: "\"-1-2\"")
    ),
    (
      #"{"layers": "+1-2", "scheme": "bf16"}"#,
      .badLayers(file: "r.json", path: "rules[1].layers", found: "\"+1-2\"")
    ),
    (
      #"{"layers": ["0-99999999999999999999"], "scheme": "bf16"}"#,
      .badLayers(
        file: "r.json", path: "rules[1].layers[0]", found: "\"0-99999999999999999999\"")
    ),
    (
      #"{"layers": [-1], "scheme": "bf16"}"#,
      .badLayers(file: "r.json", path: "rules[1].layers[0]", found: "-1")
    ),
    (
      #"{"layers": [1.5], "scheme": "bf16"}"#,
      .badLayers(file: "r.json", path: "rules[1].layers[0]", found: "1.5")
    ),
    (
      #"{"scheme": "bf16"}"#,
      .ruleWithoutCondition(file: "r.json", path: "rules[1]")
    ),
    (
      #"{"role": ["head", "router"], "scheme": "int8-row"}"#,
      .protectedRole(
        file: "r.json", path: "rules[1].scheme", role: .router,
        scheme: .quantized(bits: 8, group: .row))
    ),
  ])
  func `a rule`(text: String, expected: RecipeError) {
    #expect(throws: expected) { try read(rule(text)) }
  }

  @Test(arguments: TensorRole.allCases)
  func `integer schemes for a role named explicitly`(role: TensorRole) throws {
    let text = rule(#"{"role": "\#(role.rawValue)", "name": "*", "scheme": "int4-g32"}"#)
    if role.isQuantizable {
      try read(text)
    } else {
      #expect(throws: RecipeError.self) { try read(text) }
      try read(rule(#"{"role": "\#(role.rawValue)", "scheme": "source"}"#))
    }
  }

  @Test(arguments: [
    (#"{"kiln_recipe": 1}"#, JSONError.missing(file: "r.json", path: "rules")),
    (#"{"rules": []}"#, .missing(file: "r.json", path: "kiln_recipe")),
    (
      #"{"kiln_recipe": 1, "rules": [{"role": "head"}]}"#,
      .missing(file: "r.json", path: "rules[0].scheme")
    ),
    (
      #"{"kiln_recipe": 1, "rules": [{"role": null, "name": "*", "scheme": "bf16"}]}"#,
      .unexpected(file: "r.json", path: "rules[0].role", found: "null", expected: "a string")
    ),
    (
      #"{"kiln_recipe": 1, "rules": [{"role": [], "name": "*", "scheme": "bf16"}]}"#,
      .unexpected(
        file: "r.json", path: "rules[0].role", found: "an array of 0",
        expected: "at least one element")
    ),
    (
      #"{"kiln_recipe": 1, "rules": [3]}"#,
      .unexpected(file: "r.json", path: "rules[0]", found: "3", expected: "an object")
    ),
    (
      #"{"kiln_recipe": 1, "kiln_recipe": 1}"#,
      .duplicateKey(file: "r.json", offset: 19, key: "kiln_recipe")
    ),
  ])
  func `wrong JSON`(text: String, expected: JSONError) {
    #expect(throws: expected) { try read(text) }
  }

  @Test func `messages are one short line that names the file`() {
    let long = String(repeating: "x", count: 100_000)
    for text in [
      #"{"kiln_recipe": 9}"#, rule(#"{"\#(long)": 1}"#), rule(#"{"role": "\#(long)"}"#),
      rule(#"{"name": "[\#(long)"}"#), rule(#"{"name": "x", "scheme": "\#(long)"}"#),
      rule(#"{"layers": ["\#(long)"], "scheme": "bf16"}"#),
    ] {
      do {
        try read(text)
        Issue.record("accepted")
      } catch {
        let message = String(describing: error)
        #expect(message.hasPrefix("r.json: ") && message.utf8.count < 500)
        #expect(!message.contains("\n"))
        #expect((error as? any KilnError)?.category == .badData)
      }
    }
  }
}

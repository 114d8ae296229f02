// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import JSON
import KimiLinear
import Quantization
import SystemPackage
import TensorCore

/// What the rules that a user wrote do to a model, and whether each does something.
struct RecipeCheck {
  /// What each rule does.
  let use: RecipeUse
  /// Rules that have no effect, one line each.
  let problems: [String]

  /// - Parameters:
  ///   - recipe: The recipe, rules of `--set` in front.
  ///   - overrides: The texts of `--set`, in the order of the command line.
  ///   - file: The recipe's file; nil if its other rules are Kiln's own.
  ///   - source: The model.
  init(_ recipe: Recipe, overrides: [String], file: FilePath?, of source: CheckedCheckpoint) {
    use = RecipeUse(recipe, of: source)
    // Each override is put before all others, so the last of them comes first.
    let labels: [String?] = overrides.reversed().map { "--set \($0)" }
    let others = recipe.rules.dropFirst(labels.count).enumerated().map { index, rule in
      file.map { "\($0): rule \(index + 1) \(Self.text(of: rule))" }
    }
    let isEmpty = recipe.rules.isEmpty && recipe.fallback == .source
    problems =
      use.problems(labels: labels + others)
      + (isEmpty
        ? file.map { ["\($0): has no rules and the default source: nothing is changed"] } ?? []
        : [])
  }

  /// A rule as the recipe has it, shortened to what a line has room for.
  private static func text(of rule: RecipeRule) -> String {
    let text = String(decoding: JSONWriter.compact(rule.json), as: UTF8.self)
    return text.count <= 160 ? text : text.prefix(150) + "…"
  }

  /// Each rule with the tensors that it decides about.
  var json: JSONValue {
    .array(
      use.rules.map { rule in
        [
          "rule": rule.rule.json, "tensors": .integer(rule.tensorCount),
          "bytes": .integer(rule.byteCount),
        ]
      })
  }
}

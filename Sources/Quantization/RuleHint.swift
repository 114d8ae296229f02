// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import TensorCore

/// Finds out why a rule matches nothing, and what its author may have meant.
struct RuleHint {
  private let tensors: [RecipeUse.Tensor]
  private let names: [[Unicode.Scalar]]
  private let roles: Set<TensorRole>
  private let layers: Set<Int>

  init(_ tensors: [RecipeUse.Tensor]) {
    self.tensors = tensors
    names = tensors.map { Array($0.name.text.unicodeScalars) }
    roles = Set(tensors.map(\.role))
    layers = Set(tensors.compactMap { RecipeRule.layer(of: $0.name) })
  }

  /// Why a rule matches no tensor at all; nil if there is nothing to be said.
  func text(for rule: RecipeRule) -> String? {
    if !rule.roles.isEmpty, roles.isDisjoint(with: rule.roles) {
      return missing(rule.roles)
    }
    if !rule.layers.isEmpty, !rule.layers.contains(where: exists) { return layerText(layers) }
    if let name = rule.name, !tensors.contains(where: { name.matches($0.name) }) {
      return text(for: name)
    }
    return conflict(in: rule)
  }

  /// Roles and layers of a rule that match nothing, where others do: since the model has none, or none
  /// that meets the other conditions.
  func partialMatch(of rule: RecipeRule) -> String? {
    let problems = partialRoles(of: rule) + partialLayers(of: rule)
    return problems.isEmpty ? nil : problems.joined(separator: "; ")
  }

  private func partialRoles(of rule: RecipeRule) -> [String] {
    guard rule.roles.count > 1 else { return [] }
    let missingRoles = rule.roles.filter { !roles.contains($0) }
    let problems = missingRoles.isEmpty ? [] : [missing(missingRoles)]
    var anyRole = rule
    anyRole.roles = []
    let matched = Set(
      tensors.filter { anyRole.conditionsHold(name: $0.name, role: $0.role) }.map(\.role))
    return problems
      + rule.roles.filter { roles.contains($0) && !matched.contains($0) }.map { role in
        var narrowed = rule
        narrowed.roles = [role]
        return "role \(role.rawValue) matches no tensor; \(mismatch(of: role, narrowed))"
      }
  }

  private func mismatch(of role: TensorRole, _ rule: RecipeRule) -> String {
    let named = rule.name.map { name in tensors.filter { name.matches($0.name) } } ?? tensors
    guard let name = rule.name, !named.contains(where: { $0.role == role }),
      let first = tensors.first(where: { $0.role == role })
    else { return conflict(in: rule) }
    return "\(first.name) does not match \"\(name.text.text)\""
  }

  private func partialLayers(of rule: RecipeRule) -> [String] {
    guard !rule.layers.isEmpty, let last = layers.max() else { return [] }
    // What a range has beyond the last layer is missing, too: layers were counted wrongly, or of another model.
    let missing = rule.layers.filter { $0.upperBound > last || !exists($0) }.map {
      exists($0) ? last + 1...$0.upperBound : $0
    }
    let problems =
      missing.isEmpty ? [] : ["there is no layer \(Self.list(missing)); \(layerText(layers))"]
    var anywhere = rule
    anywhere.layers = []
    let matched = Set(
      tensors.filter { anywhere.conditionsHold(name: $0.name, role: $0.role) }
        .compactMap { RecipeRule.layer(of: $0.name) })
    let unmatched = rule.layers.filter { range in
      exists(range) && !matched.contains { range.contains($0) }
    }
    return unmatched.isEmpty
      ? problems
      : problems + [
        "layer \(Self.list(unmatched)) matches no tensor; for its other conditions"
          + " \(layerText(matched))"
      ]
  }

  private static func list(_ ranges: [ClosedRange<Int>]) -> String {
    ranges.prefix(8).map(name).joined(separator: ", ") + (ranges.count > 8 ? ", …" : "")
  }

  // MARK: - Roles and layers

  private func missing(_ missing: [TensorRole]) -> String {
    let names = missing.map(\.rawValue).joined(separator: ", ")
    if missing == [.head], roles.contains(.embedding) {
      return "the model has no head of its own: it is tied to the embedding"
    }
    return "the model has no tensors of role \(names); it has "
      + TensorRole.list(of: TensorRole.allCases.filter(roles.contains))
  }

  private func exists(_ range: ClosedRange<Int>) -> Bool {
    layers.contains { range.contains($0) }
  }

  private static func name(_ range: ClosedRange<Int>) -> String {
    range.lowerBound == range.upperBound
      ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
  }

  /// Layers as ranges.
  private func layerText(_ layers: Set<Int>) -> String {
    var ranges: [ClosedRange<Int>] = []
    for layer in layers.sorted() {
      if let last = ranges.last, last.upperBound + 1 == layer {
        ranges[ranges.count - 1] = last.lowerBound...layer
      } else {
        ranges.append(layer...layer)
      }
    }
    let list = ranges.prefix(8).map(Self.name).joined(separator: ", ")
    return "layers are \(list.isEmpty ? "none" : list)\(ranges.count > 8 ? ", …" : "")"
  }

  /// Why conditions that each match something do not match anything together.
  private func conflict(in rule: RecipeRule) -> String {
    let general = "no tensor meets all of its conditions"
    if !rule.layers.isEmpty {
      var anywhere = rule
      anywhere.layers = []
      let found = tensors.filter { anywhere.conditionsHold(name: $0.name, role: $0.role) }
      let places = Set(found.compactMap { RecipeRule.layer(of: $0.name) })
      if !found.isEmpty {
        return places.isEmpty
          ? "\(found[0].name) is in no layer" : "for its other conditions \(layerText(places))"
      }
    }
    if let name = rule.name, let first = tensors.first(where: { name.matches($0.name) }) {
      return "\(general): \(first.name) has the role \(first.role.rawValue)"
    }
    return general
  }

  // MARK: - Names

  private func text(for pattern: NamePattern) -> String? {
    let pattern = pattern.text.text
    if let layer = RecipeRule.layer(of: ExactString(pattern)), !layers.contains(layer) {
      return "there is no layer \(layer); \(layerText(layers))"
    }
    for guess in PatternGuess.all(for: pattern) {
      guard let candidate = NamePattern(guess.pattern),
        let first = names.firstIndex(where: candidate.matches)
      else { continue }
      let count = names.count(where: candidate.matches)
      let why = guess.reason.map { "\($0); " } ?? ""
      guard candidate.hasWildcard else { return "\(why)there is \"\(guess.pattern)\"" }
      let what =
        count == 1
        ? tensors[first].name.text : "\(count) tensors, such as \(tensors[first].name.text)"
      return "\(why)\"\(guess.pattern)\" would match \(what)"
    }
    return nearest(to: pattern).map { "the nearest name is \"\($0)\"" }
  }

  /// The name of a tensor that differs least, numbers left open.
  private func nearest(to pattern: String) -> String? {
    var templates: [String: String] = [:]
    var cores: [String] = []
    for tensor in tensors {
      let template = Self.template(tensor.name.text)
      let core = Self.core(template)
      if templates.updateValue(template, forKey: core) == nil { cores.append(core) }
    }
    return NearestName.of(Self.core(Self.template(pattern)), among: cores).flatMap { templates[$0] }
  }

  /// A name with `*` for each number.
  private static func template(_ name: String) -> String {
    name.split(separator: ".", omittingEmptySubsequences: false).map {
      Int($0) == nil ? String($0) : "*"
    }.joined(separator: ".")
  }

  /// A name without what most names have in common.
  private static func core(_ template: String) -> String {
    var core = template[...]
    for prefix in ["*.", "model."] where core.hasPrefix(prefix) {
      core = core.dropFirst(prefix.count)
    }
    for suffix in [".*", ".weight"] where core.hasSuffix(suffix) {
      core = core.dropLast(suffix.count)
    }
    return String(core)
  }
}

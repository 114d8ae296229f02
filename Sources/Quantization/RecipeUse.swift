// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// What each rule of a recipe does with the tensors of a model, and why some rules do nothing.
///
/// A rule that has no effect is nearly always a mistake: a head that was to stay BF16 becomes int4 because
/// its name was misspelled.
package struct RecipeUse: Sendable {
  /// A tensor that a recipe decides about.
  package struct Tensor: Sendable {
    /// Its name in the released dialect.
    package let name: ExactString
    /// Its role.
    package let role: TensorRole
    /// Its shape.
    package let shape: TensorShape
    /// How it is stored now.
    package let source: TensorEncoding

    package init(
      name: ExactString, role: TensorRole, shape: TensorShape, source: TensorEncoding
    ) {
      self.name = name
      self.role = role
      self.shape = shape
      self.source = source
    }
  }

  /// What one rule does.
  package struct Rule: Sendable {
    /// The rule.
    package let rule: RecipeRule
    /// Tensors that it decides about.
    package fileprivate(set) var tensorCount = 0
    /// Bytes that they will have.
    package fileprivate(set) var byteCount = 0
    /// Whether one of them can get what the rule asks for, or the nearest to it.
    fileprivate var hasEffect = false
    /// A tensor that the rule decides about and cannot change, and why.
    fileprivate var unchanged: (name: ExactString, reason: Decision.Reason)?
    /// Earlier rules that decide about tensors that this one would match, with the number of these tensors.
    fileprivate var shadowing: [Int: Int] = [:]
    /// A protected tensor that the rule passes over.
    fileprivate var passedOver: ExactString?

    fileprivate init(_ rule: RecipeRule) { self.rule = rule }
  }

  /// The rules in the order of the recipe.
  package private(set) var rules: [Rule]
  private let tensors: [Tensor]

  /// Hints are looked for among all tensors, so a recipe of hostile length gets only some.
  private static let maximumHintCount = 8

  /// Applies a recipe.
  ///
  /// - Parameters:
  ///   - recipe: The recipe.
  ///   - tensors: All tensors of the model.
  package init(_ recipe: Recipe, of tensors: [Tensor]) {
    rules = recipe.rules.map(Rule.init)
    self.tensors = tensors
    for tensor in tensors {
      let decision = recipe.decision(
        name: tensor.name, role: tensor.role, shape: tensor.shape, source: tensor.source)
      if let index = decision.rule { count(tensor, decision, for: index) }
      // Only of rules without effect so far it matters what they would have matched.
      for index in rules.indices where index != decision.rule && !rules[index].hasEffect {
        look(at: tensor, decidedBy: decision.rule, for: index)
      }
    }
  }

  private mutating func count(_ tensor: Tensor, _ decision: Decision, for index: Int) {
    rules[index].tensorCount += 1
    rules[index].byteCount += decision.encoding.byteCount(tensor.shape) ?? 0
    switch decision.reason {
    case nil, .group, .alreadyQuantized: rules[index].hasEffect = true
    case .protected, .rank, .empty, .type:
      if rules[index].unchanged == nil {
        rules[index].unchanged = decision.reason.map { (tensor.name, $0) }
      }
    }
  }

  private mutating func look(at tensor: Tensor, decidedBy decider: Int?, for index: Int) {
    let rule = rules[index].rule
    guard rule.conditionsHold(name: tensor.name, role: tensor.role) else { return }
    if !rule.matches(name: tensor.name, role: tensor.role) {
      rules[index].passedOver = rules[index].passedOver ?? tensor.name
    } else if let decider, decider < index {
      rules[index].shadowing[decider, default: 0] += 1
    }
  }

  /// What is to be said about rules that have no effect, or parts of which have none.
  ///
  /// - Parameter labels: What each rule is called; nil for one that the user did not write, about which
  ///   nothing is said.
  /// - Returns: One line a rule, in the order of the recipe.
  package func problems(labels: [String?]) -> [String] {
    let hint = RuleHint(tensors)
    var hints = 0
    return rules.indices.compactMap { index -> String? in
      guard index < labels.count, let label = labels[index] else { return nil }
      let rule = rules[index]
      if rule.hasEffect {
        return hint.partialMatch(of: rule.rule).map { "\(label): \($0)" }
      }
      if let (name, reason) = rule.unchanged {
        return "\(label) changes nothing: \(name): \(reason)"
      }
      if !rule.shadowing.isEmpty {
        return "\(label) decides about no tensor: \(shadow(of: rule, labels))"
      }
      if let name = rule.passedOver {
        return "\(label) matches only tensors that are never quantized, such as \(name)"
      }
      hints += 1
      let text = hints <= Self.maximumHintCount ? hint.text(for: rule.rule) : nil
      return "\(label) matches no tensor" + (text.map { "; \($0)" } ?? "")
    }
  }

  private func shadow(of rule: Rule, _ labels: [String?]) -> String {
    let earlier = rule.shadowing.keys.sorted()
    let names = earlier.prefix(3).map { index in
      index < labels.count ? labels[index] ?? "the scheme's own rule" : "an earlier rule"
    }
    let more = earlier.count > names.count ? " and \(earlier.count - names.count) more" : ""
    let count = rule.shadowing.values.reduce(0, +)
    return (count == 1 ? "its one tensor is" : "all of its \(count) tensors are")
      + " decided before it by \(names.joined(separator: ", "))\(more)"
  }
}

// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// How the tensors of a checkpoint are to be written.
///
/// Ordered rules, of which the first that matches decides; `Formats/Recipe.md` specifies them.
package struct Recipe: Hashable, Sendable {
  /// The rules, in the order in which they are tried.
  package var rules: [RecipeRule]
  /// What tensors get that no rule matches.
  package var fallback: RecipeScheme
  /// How scales are chosen under rules that do not say it.
  package var method: RoundingMethod

  /// A recipe of given parts.
  package init(rules: [RecipeRule], fallback: RecipeScheme, method: RoundingMethod) {
    self.rules = rules
    self.fallback = fallback
    self.method = method
  }

  /// The default recipe for a scheme.
  ///
  /// Integer schemes apply to experts, dense MLPs and KDA projections; what every token passes
  /// through, MLA and the vocabulary, gets 8 bits with the same groups.
  package init(defaultFor scheme: TensorEncoding, method: RoundingMethod) {
    let main: [TensorRole] = [.routedExpert, .sharedExpert, .denseMLP, .kdaProjection]
    let careful: [TensorRole] = [.mlaProjection, .embedding, .head]
    if case .quantized(_, let group) = scheme {
      self.init(
        rules: [
          RecipeRule(roles: main, scheme: .encoding(scheme)),
          RecipeRule(roles: careful, scheme: .encoding(.quantized(bits: 8, group: group))),
        ], fallback: .source, method: method)
    } else {
      self.init(
        rules: [RecipeRule(roles: main + careful, scheme: .encoding(scheme))],
        fallback: .source, method: method)
    }
  }

  /// The same recipe with another scheme for a role, whatever its rules say: `--set ROLE=SCHEME`.
  ///
  /// - Throws: `RecipeError.protectedOverride` for an integer scheme and a role that gets none.
  package func overriding(
    role: TensorRole, with scheme: RecipeScheme
  ) throws(RecipeError) -> Recipe {
    if let encoding = scheme.quantized, !role.isQuantizable {
      throw .protectedOverride(role: role, scheme: encoding)
    }
    var recipe = self
    recipe.rules.insert(RecipeRule(roles: [role], scheme: scheme), at: 0)
    return recipe
  }

  /// What becomes of a tensor.
  ///
  /// - Parameters:
  ///   - name: Its name in the released dialect.
  ///   - role: Its role.
  ///   - shape: Its shape.
  ///   - source: How it is stored now.
  /// - Returns: The planned encoding, and why if it is not what the rule asks for.
  package func decision(
    name: ExactString, role: TensorRole, shape: TensorShape, source: TensorEncoding
  ) -> Decision {
    let index = rules.firstIndex { $0.matches(name: name, role: role) }
    let asked: RecipeScheme
    if let index {
      asked = rules[index].scheme
    } else {
      let applies = RecipeRule(scheme: fallback).matches(name: name, role: role)
      asked = applies ? fallback : .source
    }
    let method = index.flatMap { rules[$0].method } ?? self.method
    guard case .encoding(let encoding) = asked else {
      return Decision(encoding: source, method: method, rule: index, reason: nil)
    }
    let (planned, reason) = Self.plan(encoding, role: role, shape: shape, source: source)
    return Decision(encoding: planned, method: method, rule: index, reason: reason)
  }

  /// What a tensor can get of what is asked for.
  private static func plan(
    _ asked: TensorEncoding, role: TensorRole, shape: TensorShape, source: TensorEncoding
  ) -> (TensorEncoding, Decision.Reason?) {
    if case .plain(let dtype) = source, !dtype.isComputable { return (source, .type(dtype)) }
    var planned = asked
    var reason: Decision.Reason?
    if case .quantized(let bits, let group) = asked {
      guard role.isQuantizable else { return (source, .protected(role)) }
      guard shape.rank == 2 else { return (source, .rank(shape.rank)) }
      guard shape.elementCount > 0 else { return (source, .empty) }
      planned = fitting(bits: bits, group: group, columns: shape.columns)
      if planned != asked { reason = .group(asked: asked, columns: shape.columns) }
    }
    if source.isQuantized, source != planned {
      return (source, .alreadyQuantized(stored: source, asked: asked))
    }
    return (planned, reason)
  }

  /// The encoding itself if rows of this length fit it, else the nearest that is not worse.
  private static func fitting(
    bits: Int, group: QuantizationGroup, columns: Int
  ) -> TensorEncoding {
    let asked = TensorEncoding.quantized(bits: bits, group: group)
    if asked.fits(columns: columns) { return asked }
    if case .size(let size) = group {
      for smaller in QuantizationGroup.sizes.reversed() where smaller < size {
        let encoding = TensorEncoding.quantized(bits: bits, group: .size(smaller))
        if encoding.fits(columns: columns) { return encoding }
      }
    }
    return .quantized(bits: 8, group: .row)
  }
}

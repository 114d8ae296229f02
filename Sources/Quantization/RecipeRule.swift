// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// What a rule asks for.
package enum RecipeScheme: Hashable, Sendable, CustomStringConvertible {
  /// Keep the tensor as it is stored.
  case source
  /// Write it so.
  case encoding(TensorEncoding)

  /// What can be asked for.
  package static let names = TensorEncoding.schemeNames + ["source"]

  /// A hint for a name that is no scheme: the existing groups, if only the group is unknown.
  ///
  /// - Parameters:
  ///   - name: What was given.
  ///   - names: What could have been.
  /// - Returns: A clause to put behind the name.
  package static func suggestion(
    for name: String, among names: [String] = RecipeScheme.names
  ) -> String {
    let parts = name.lowercased().split(separator: "-", maxSplits: 1)
    let groups = names.filter { $0.hasPrefix("\(parts.first ?? "")-") }.compactMap {
      $0.split(separator: "-").last.map(String.init)
    }
    guard parts.count == 2, !groups.isEmpty, !groups.contains(String(parts[1])) else {
      return Suggestion.text(for: name, among: names, of: "the schemes are")
    }
    return "; the groups of \(parts[0]) are \(groups.joined(separator: ", "))"
  }

  /// Reads `source` or the name of a scheme.
  ///
  /// - Returns: nil if it is neither.
  package init?(name: String) {
    if name == "source" {
      self = .source
    } else if let encoding = TensorEncoding(schemeName: name) {
      self = .encoding(encoding)
    } else {
      return nil
    }
  }

  /// The name in a recipe.
  package var description: String {
    switch self {
    case .source: "source"
    case .encoding(let encoding): encoding.description
    }
  }

  /// The integer encoding that is asked for, if it is one.
  var quantized: TensorEncoding? {
    if case .encoding(let encoding) = self, encoding.isQuantized { encoding } else { nil }
  }
}

/// One rule of a recipe: conditions that must all hold, and what they lead to.
package struct RecipeRule: Hashable, Sendable {
  /// Roles of which the tensor must have one; any if empty.
  package var roles: [TensorRole]
  /// Pattern of its name.
  package var name: NamePattern?
  /// Layers of which it must be in one; anywhere if empty.
  package var layers: [ClosedRange<Int>]
  /// What matching tensors get.
  package var scheme: RecipeScheme
  /// How their scales are chosen; the recipe's method if nil.
  package var method: RoundingMethod?

  /// A rule; without conditions it matches every tensor.
  package init(
    roles: [TensorRole] = [], name: NamePattern? = nil, layers: [ClosedRange<Int>] = [],
    scheme: RecipeScheme, method: RoundingMethod? = nil
  ) {
    self.roles = roles
    self.name = name
    self.layers = layers
    self.scheme = scheme
    self.method = method
  }

  /// Whether the rule decides about a tensor.
  ///
  /// Rules that do not name a protected tensor, by role or by its exact name, pass over it.
  package func matches(name tensorName: ExactString, role: TensorRole) -> Bool {
    guard conditionsHold(name: tensorName, role: role) else { return false }
    if role.isQuantizable || scheme == .source || !roles.isEmpty { return true }
    return name.map { !$0.hasWildcard } ?? false
  }

  /// Whether the conditions hold of a tensor, those that are passed over included.
  func conditionsHold(name tensorName: ExactString, role: TensorRole) -> Bool {
    if !roles.isEmpty, !roles.contains(role) { return false }
    if let name, !name.matches(tensorName) { return false }
    if layers.isEmpty { return true }
    guard let layer = Self.layer(of: tensorName) else { return false }
    return layers.contains { $0.contains(layer) }
  }

  /// The number after `model.layers.`; nil for a tensor outside the layers.
  static func layer(of name: ExactString) -> Int? {
    let prefix = "model.layers."
    guard name.text.hasPrefix(prefix) else { return nil }
    return Int(name.text.dropFirst(prefix.count).prefix { $0 != "." })
  }
}

extension TensorRole {
  /// Roles as a message lists them: those that can be quantized, then those that keep their precision.
  package static func list(of roles: [TensorRole] = TensorRole.allCases) -> String {
    let main = roles.filter(\.isQuantizable).map(\.rawValue).joined(separator: ", ")
    let others = roles.filter { !$0.isQuantizable }.map(\.rawValue).joined(separator: ", ")
    if others.isEmpty || main.isEmpty { return main + others }
    return "\(main), and, never quantized, \(others)"
  }
}

// SPDX-License-Identifier: Apache-2.0

internal import Checkpoints
package import JSON
internal import TensorCore

extension Recipe {
  /// Reads a recipe.
  ///
  /// - Parameters:
  ///   - bytes: The whole file.
  ///   - file: Its name, for errors.
  /// - Throws: `JSONError` where the text is not strict JSON or a value is of the wrong kind,
  ///   `RecipeError` where it says something that is not possible.
  package init(parsing bytes: [UInt8], file: String) throws {
    let root = JSONField(file: file, root: try JSONValue(parsing: bytes, file: file))
    self = try RecipeReader(file: file).recipe(root)
  }

  /// The canonical form: equal recipes give equal bytes, and reading them gives the recipe again.
  package var json: JSONValue {
    [
      "kiln_recipe": .integer(RecipeReader.version),
      "rules": .array(rules.map(\.json)),
      "default": .string(fallback.description),
      "method": .string(method.rawValue),
    ]
  }
}

extension RecipeRule {
  /// The rule as it is in a recipe, in canonical form.
  package var json: JSONValue {
    var members: [JSONMember] = []
    if !roles.isEmpty {
      members.append(
        JSONMember(key: "role", value: Self.single(roles.map { .string($0.rawValue) })))
    }
    if let name { members.append(JSONMember(key: "name", value: .string(name.text.text))) }
    if !layers.isEmpty {
      let values = layers.map { range -> JSONValue in
        range.count == 1
          ? .integer(range.lowerBound) : .string("\(range.lowerBound)-\(range.upperBound)")
      }
      members.append(JSONMember(key: "layers", value: Self.single(values)))
    }
    members.append(JSONMember(key: "scheme", value: .string(scheme.description)))
    if let method { members.append(JSONMember(key: "method", value: .string(method.rawValue))) }
    return .object(members)
  }

  private static func single(_ values: [JSONValue]) -> JSONValue {
    values.count == 1 ? values[0] : .array(values)
  }
}

/// Turns a JSON document into a recipe, refusing everything that it does not know.
struct RecipeReader {
  /// Version of the format that is read and written.
  static let version = 1
  /// Layers beyond this are typing errors; it keeps arithmetic on them from overflowing.
  private static let largestLayer = 999_999

  let file: String

  func recipe(_ root: JSONField) throws -> Recipe {
    // The version first: keys of a later one are not unknown, they are later.
    let version = try root["kiln_recipe"].integer(in: 0...Int.max)
    guard version == Self.version else {
      throw RecipeError.unsupportedVersion(file: file, found: version)
    }
    try checkKeys(of: root, known: ["kiln_recipe", "rules", "default", "method"])
    return Recipe(
      rules: try root["rules"].array().map(rule),
      fallback: try optional(root["default"], scheme) ?? .source,
      method: try optional(root["method"], method) ?? .roundToNearest)
  }

  private func rule(_ field: JSONField) throws -> RecipeRule {
    try checkKeys(of: field, known: ["role", "name", "layers", "scheme", "method"])
    let rule = RecipeRule(
      roles: try optional(field["role"]) { try oneOrMore($0, role) } ?? [],
      name: try optional(field["name"], pattern),
      layers: try optional(field["layers"]) { try oneOrMore($0, layers) } ?? [],
      scheme: try scheme(field["scheme"]),
      method: try optional(field["method"], method))
    if rule.roles.isEmpty, rule.name == nil, rule.layers.isEmpty {
      throw RecipeError.ruleWithoutCondition(file: file, path: field.path)
    }
    if let encoding = rule.scheme.quantized,
      let role = rule.roles.first(where: { !$0.isQuantizable })
    {
      throw RecipeError.protectedRole(
        file: file, path: "\(field.path).scheme", role: role, scheme: encoding)
    }
    return rule
  }

  private func checkKeys(of field: JSONField, known: [String]) throws {
    for (key, member) in try field.object() where !known.contains(where: { key == ExactString($0) })
    {
      throw RecipeError.unknownKey(file: file, path: member.path, known: known)
    }
  }

  /// The value of a key, or nil if the key is absent.
  ///
  /// A null is not nothing: it would drop a condition in silence.
  private func optional<Value>(
    _ field: JSONField, _ read: (JSONField) throws -> Value
  ) throws -> Value? {
    field.value == nil ? nil : try read(field)
  }

  /// A value, or the values of an array that has some; nothing twice.
  private func oneOrMore<Value: Hashable>(
    _ field: JSONField, _ read: (JSONField) throws -> Value
  ) throws -> [Value] {
    guard case .array(let elements) = field.value else { return [try read(field)] }
    guard !elements.isEmpty else { throw field.unexpected("at least one element") }
    var seen = Set<Value>()
    return try field.array().map(read).filter { seen.insert($0).inserted }
  }

  private func role(_ field: JSONField) throws -> TensorRole {
    let text = try field.string()
    guard let role = TensorRole(rawValue: text) else {
      throw RecipeError.unknownRole(file: file, path: field.path, found: text)
    }
    return role
  }

  private func scheme(_ field: JSONField) throws -> RecipeScheme {
    let text = try field.string()
    guard let scheme = RecipeScheme(name: text) else {
      throw RecipeError.unknownScheme(file: file, path: field.path, found: text)
    }
    return scheme
  }

  private func method(_ field: JSONField) throws -> RoundingMethod {
    let text = try field.string()
    guard let method = RoundingMethod(rawValue: text) else {
      throw RecipeError.unknownMethod(file: file, path: field.path, found: text)
    }
    return method
  }

  private func pattern(_ field: JSONField) throws -> NamePattern {
    let text = try field.string()
    guard let pattern = NamePattern(text) else {
      throw RecipeError.badPattern(
        file: file, path: field.path, pattern: text,
        problem: NamePattern.problem(in: text) ?? "not a pattern")
    }
    return pattern
  }

  private func layers(_ field: JSONField) throws -> ClosedRange<Int> {
    let allowed = 0...Self.largestLayer
    switch field.value {
    case .integer(let layer) where allowed.contains(layer):
      return layer...layer
    case .string(let text):
      let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(Self.layer)
      guard ends.count == 2, let first = ends[0], let last = ends[1], first <= last else {
        throw RecipeError.badLayers(file: file, path: field.path, found: "\"\(text)\"")
      }
      return first...last
    case let value:
      let found = value.map { String(decoding: JSONWriter.compact($0), as: UTF8.self) }
      throw RecipeError.badLayers(file: file, path: field.path, found: found ?? "nothing")
    }
  }

  /// Digits only: `Int` would take a sign too.
  private static func layer(_ text: Substring) -> Int? {
    guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let layer = Int(text), layer <= largestLayer
    else { return nil }
    return layer
  }
}

// SPDX-License-Identifier: Apache-2.0

package import JSON
import TensorCore

/// The keys of `config.json` that Kiln does not know.
///
/// A successor of the family differs from it by a key: a bound on the gates, a gate on the output. Its
/// tensors may be the same, so nothing but the key says that this runtime would compute something else.
package struct UnknownKeys: Sendable, Equatable {
  /// One key.
  package struct Key: Sendable, Equatable {
    /// Keys from the root, joined by dots.
    package let path: String
    /// Its value, in short.
    package let value: String
  }

  /// Name of the document.
  package let file: String
  /// Keys that speak of what is computed, with a value that is not the neutral one.
  package private(set) var consequential: [Key] = []
  /// All others.
  package private(set) var others: [Key] = []

  /// Looks through a document.
  ///
  /// - Parameter root: `config.json`.
  /// - Throws: `JSONError` if it is no object.
  package init(_ root: JSONField) throws(JSONError) {
    file = root.file
    for (key, field) in try root.object() {
      switch key.text {
      case "linear_attn_config": try addMembers(of: field, known: KnownKeys.linearAttention)
      case "rope_parameters": try addRotary(field)
      case "text_config": try addText(field, root: root)
      case let name where KnownKeys.used.contains(name) || KnownKeys.harmless.contains(name): break
      case let name: try add(field, name: name)
      }
    }
  }

  /// Members of an object that is about computation as a whole.
  private mutating func addMembers(
    of field: JSONField, known: Set<String>
  ) throws(JSONError) {
    guard case .object = field.value else { return }
    for (key, member) in try field.object() where !known.contains(key.text) {
      try addLeaves(of: member, name: key.text)
    }
  }

  /// `rope_parameters`, or one such object for each type of layer.
  private mutating func addRotary(_ field: JSONField) throws(JSONError) {
    guard case .object = field.value else { return }
    for (key, member) in try field.object() where !KnownKeys.rotary.contains(key.text) {
      if case .object = member.value, key.text.hasSuffix("_attention") {
        try addMembers(of: member, known: KnownKeys.rotary.subtracting(["rope_type", "type"]))
      } else {
        try addLeaves(of: member, name: key.text)
      }
    }
  }

  /// The configuration of the text part in one of several parts: Kiln reads the root, so that what stands
  /// here and differs from it is not what will be computed.
  private mutating func addText(_ field: JSONField, root: JSONField) throws(JSONError) {
    guard case .object = field.value else { return }
    for (key, member) in try field.object() {
      let name = key.text
      if name == "linear_attn_config", case .object = member.value {
        try addMembers(of: member, known: KnownKeys.linearAttention)
        for (key, part) in try member.object() where KnownKeys.linearAttention.contains(key.text) {
          if part.isPresent, part.value != root[name][key.text].value {
            append(part, to: \.consequential)
          }
        }
      } else if KnownKeys.used.contains(name) {
        if member.value != root[name].value, member.isPresent {
          append(member, to: \.consequential)
        }
      } else if !KnownKeys.harmless.contains(name) {
        try add(member, name: name)
      }
    }
  }

  private mutating func add(_ field: JSONField, name: String) throws(JSONError) {
    if KnownKeys.speaksOfComputation(name) { return try addLeaves(of: field, name: name) }
    let before = (consequential.count, others.count)
    switch field.value {
    case .object:
      for (key, member) in try field.object() where !KnownKeys.harmless.contains(key.text) {
        try add(member, name: key.text)
      }
    case .array(let elements) where elements.contains(where: Self.isNested):
      for element in try field.array() where element.value.map(Self.isNested) == true {
        try add(element, name: name)
      }
    default: break
    }
    if (consequential.count, others.count) == before { append(field, to: \.others) }
  }

  /// Whether a value may have members.
  private static func isNested(_ value: JSONValue) -> Bool {
    switch value {
    case .object, .array: true
    default: false
    }
  }

  /// Everything in a field whose name speaks of computation, down to the values that say so.
  private mutating func addLeaves(of field: JSONField, name: String) throws(JSONError) {
    if case .object = field.value {
      for (key, member) in try field.object() { try addLeaves(of: member, name: key.text) }
    } else if case .array(let elements) = field.value, elements.contains(where: Self.isNested) {
      for element in try field.array() { try addLeaves(of: element, name: name) }
    } else if Self.isSupported(field.value, name: name) {
      return
    } else {
      append(field, to: Self.isNeutral(field.value, name: name) ? \.others : \.consequential)
    }
  }

  private mutating func append(
    _ field: JSONField, to list: WritableKeyPath<UnknownKeys, [Key]>
  ) {
    self[keyPath: list].append(Key(path: field.path, value: field.shortValue))
  }

  // MARK: - Values

  /// Values that name what Kiln does anyway.
  private static let supported: [String: Set<String>] = [
    "norm_type": ["rmsnorm", "rms_norm"], "normalization": ["rmsnorm", "rms_norm"],
    "activation_function": ["silu", "swish"], "hidden_activation": ["silu", "swish"],
    "rope_type": ["default"], "type": ["default"], "position_embedding_type": ["none", "nope"],
  ]

  private static func isSupported(_ value: JSONValue?, name: String) -> Bool {
    switch value {
    case .string(let text): supported[name]?.contains(text.lowercased()) == true
    // Short convolutions are part of the architecture; without them tensors would be missing.
    case .bool(true): name == "use_short_conv"
    default: false
    }
  }

  /// Whether a value means that what the key speaks of is not there.
  ///
  /// Null, false and what is empty do. A number does where it counts things, caps or widens to a window; 0 as
  /// a bound of a gate is a bound like any other. A factor of 1 changes nothing.
  private static func isNeutral(_ value: JSONValue?, name: String) -> Bool {
    switch value {
    case nil, .null, .bool(false): true
    case .string(let text): ["", "none", "null"].contains(text.lowercased())
    case .array(let elements): elements.allSatisfy { isNeutral($0, name: name) }
    case .object(let members): members.allSatisfy { isNeutral($0.value, name: $0.key.text) }
    case .bool(true): false
    case .integer(let number): isNeutral(Double(number), name: name)
    case .number(let number): isNeutral(number, name: name)
    }
  }

  private static func isNeutral(_ number: Double, name: String) -> Bool {
    let name = KnownKeys.words(of: name).joined(separator: "_")
    if number == 0 {
      return name.hasPrefix("num_") || name.hasPrefix("n_")
        || ["softcap", "soft_cap", "window", "_layers"].contains(where: name.contains)
    }
    return number == 1 && ["multiplier", "factor"].contains(where: name.contains)
      && !KnownKeys.replacesAttentionScale(name)
  }
}

// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// A place in a JSON document that knows its path, so that a wrong value is reported by name.
///
/// `root["linear_attn_config"]["num_heads"].integer(in: 1...4096)` either gives the number or
/// throws an error that says where and what.
package struct JSONField: Sendable {
  /// Name of the document in errors.
  package let file: String
  /// Keys from the root, joined by dots; empty at the root.
  package let path: String
  /// What stands there; nil if the key is absent.
  package let value: JSONValue?

  /// The root of a document.
  package init(file: String, root: JSONValue) {
    self.init(file: file, path: "", value: root)
  }

  private init(file: String, path: String, value: JSONValue?) {
    self.file = file
    self.path = path
    self.value = value
  }

  /// The member of that name; its value is nil if there is none.
  package subscript(key: String) -> JSONField {
    JSONField(
      file: file, path: path.isEmpty ? key : "\(path).\(key)", value: value?[ExactString(key)])
  }

  /// Whether there is a value other than null.
  package var isPresent: Bool {
    switch value {
    case nil, .null: false
    default: true
    }
  }

  /// The field itself if it has a value other than null.
  package var ifPresent: JSONField? { isPresent ? self : nil }

  /// A whole number within a range.
  package func integer(in range: ClosedRange<Int>) throws(JSONError) -> Int {
    guard case .integer(let number) = try required(), range.contains(number) else {
      throw unexpected("a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// A finite number, whole or not.
  package func number() throws(JSONError) -> Double {
    switch try required() {
    case .integer(let number): return Double(number)
    case .number(let number) where number.isFinite: return number
    default: throw unexpected("a number")
    }
  }

  /// A truth value.
  package func bool() throws(JSONError) -> Bool {
    guard case .bool(let flag) = try required() else { throw unexpected("true or false") }
    return flag
  }

  /// A string.
  package func string() throws(JSONError) -> String {
    guard case .string(let text) = try required() else { throw unexpected("a string") }
    return text
  }

  /// The elements of an array, made when they are asked for.
  ///
  /// A hostile array may have millions, and mostly the first is enough to refuse it.
  package func array() throws(JSONError) -> some RandomAccessCollection<JSONField> {
    guard case .array(let elements) = try required() else { throw unexpected("an array") }
    return elements.indices.lazy.map { index in
      JSONField(file: file, path: "\(path)[\(index)]", value: elements[index])
    }
  }

  /// The members of an object, in the order of the text.
  package func object() throws(JSONError) -> [(key: ExactString, field: JSONField)] {
    guard case .object(let members) = try required() else { throw unexpected("an object") }
    return members.map { member in
      let path = path.isEmpty ? member.key.text : "\(path).\(member.key)"
      return (member.key, JSONField(file: file, path: path, value: member.value))
    }
  }

  /// An error that says what stands here and what should.
  package func unexpected(_ expected: String) -> JSONError {
    guard let value else { return .missing(file: file, path: path) }
    return .unexpected(
      file: file, path: path, found: JSONWriter.summary(of: value), expected: expected)
  }

  private func required() throws(JSONError) -> JSONValue {
    guard let value else { throw .missing(file: file, path: path) }
    return value
  }
}

extension JSONField {
  /// The value as a short text for a message.
  package var shortValue: String { value.map(JSONWriter.summary) ?? "absent" }
}

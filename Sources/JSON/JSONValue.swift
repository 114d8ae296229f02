// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// A JSON value as a tree, for texts of moderate size: configurations, recipes, reports.
package enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent that fits an `Int`.
  case integer(Int)
  /// Any other number.
  case number(Double)
  case string(String)
  case array([JSONValue])
  /// Members in the order of the text.
  case object([JSONMember])

  /// Parses a complete text.
  ///
  /// - Parameters:
  ///   - bytes: The text, UTF-8.
  ///   - file: Its name, for errors.
  /// - Throws: `JSONError` where the text is not strict JSON; see `JSONScanner`.
  package init(parsing bytes: [UInt8], file: String) throws {
    var scanner = JSONScanner(bytes, file: file)
    self = try JSONValue(from: &scanner)
    try scanner.end()
  }

  private init(from scanner: inout JSONScanner) throws {
    switch try scanner.peekKind() {
    case .object:
      var members: [JSONMember] = []
      try scanner.object { scanner, key in
        members.append(JSONMember(key: key, value: try JSONValue(from: &scanner)))
      }
      self = .object(members)
    case .array:
      var elements: [JSONValue] = []
      try scanner.array { scanner in elements.append(try JSONValue(from: &scanner)) }
      self = .array(elements)
    case .string: self = .string(try scanner.string())
    case .number:
      let text = try scanner.number()
      self = Int(text).map { .integer($0) } ?? .number(Double(text) ?? .nan)
    case .bool: self = .bool(try scanner.bool())
    case .null:
      try scanner.null()
      self = .null
    }
  }

  /// The member of that name, if this is an object that has it.
  package subscript(key: ExactString) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }
}

/// One name and its value in a JSON object.
package struct JSONMember: Equatable, Sendable {
  package let key: ExactString
  package let value: JSONValue

  package init(key: ExactString, value: JSONValue) {
    self.key = key
    self.value = value
  }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral,
  ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral
{
  /// An object with these members, in this order.
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { JSONMember(key: ExactString($0.0), value: $0.1) })
  }

  /// An array.
  package init(arrayLiteral elements: JSONValue...) {
    self = .array(elements)
  }

  /// A string.
  package init(stringLiteral value: String) {
    self = .string(value)
  }

  /// A whole number.
  package init(integerLiteral value: Int) {
    self = .integer(value)
  }

  /// A truth value.
  package init(booleanLiteral value: Bool) {
    self = .bool(value)
  }
}

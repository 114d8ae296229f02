// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// A strict pull parser for JSON text (RFC 8259).
///
/// Stricter than most: UTF-8 only and without a byte-order mark, no duplicate keys (names are
/// compared as bytes), no unpaired surrogate escapes, no text after the value, nesting bounded. A reader that
/// wants few values of a large text pulls them in one pass and builds no tree.
package struct JSONScanner {
  /// Deepest nesting of objects and arrays that is accepted.
  package static let maximumDepth = 128

  /// Name of the text in errors.
  package let file: String
  private let bytes: [UInt8]
  private(set) package var offset = 0
  private var depth = 0
  /// Added to offsets in errors, for a text that starts inside a file.
  private let base: Int

  /// Starts at the first byte.
  ///
  /// - Parameters:
  ///   - bytes: The whole text.
  ///   - file: Its name, for errors.
  ///   - base: Offset of the text in its file, for errors.
  package init(_ bytes: [UInt8], file: String, base: Int = 0) {
    self.bytes = bytes
    self.file = file
    self.base = base
  }

  /// The kind of the next value, told by its first byte.
  package enum Kind {
    case object
    case array
    case string
    case number
    case bool
    case null
  }

  /// An error at the current place.
  package func syntaxError(_ problem: String) -> JSONError {
    .syntax(file: file, offset: base + offset, problem: problem)
  }

  /// The kind of the value that follows.
  package mutating func peekKind() throws(JSONError) -> Kind {
    skipWhitespace()
    guard offset < bytes.count else { throw syntaxError("the text ends where a value should be") }
    switch bytes[offset] {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    default: throw syntaxError("found \(quoted(bytes[offset])) where a value should be")
    }
  }

  /// Reads an object and calls `member` for each key, which must read the value.
  package mutating func object(
    _ member: (inout JSONScanner, ExactString) throws -> Void
  ) throws {
    try enter(UInt8(ascii: "{"))
    var seen = SeenKeys()
    if !consume(UInt8(ascii: "}")) {
      repeat {
        skipWhitespace()
        let start = offset
        let key = ExactString(try string())
        guard seen.insert(key) else {
          throw JSONError.duplicateKey(file: file, offset: base + start, key: key.text)
        }
        try expect(UInt8(ascii: ":"))
        try member(&self, key)
      } while consume(UInt8(ascii: ","))
      try expect(UInt8(ascii: "}"))
    }
    depth -= 1
  }

  /// Reads an array and calls `element` before each element, which must read it.
  package mutating func array(_ element: (inout JSONScanner) throws -> Void) throws {
    try enter(UInt8(ascii: "["))
    if !consume(UInt8(ascii: "]")) {
      repeat { try element(&self) } while consume(UInt8(ascii: ","))
      try expect(UInt8(ascii: "]"))
    }
    depth -= 1
  }

  /// Reads a string, escapes resolved.
  package mutating func string() throws(JSONError) -> String {
    try expect(UInt8(ascii: "\""))
    let start = offset
    while offset < bytes.count, bytes[offset] != UInt8(ascii: "\""),
      bytes[offset] != UInt8(ascii: "\\"), bytes[offset] >= 0x20
    {
      offset += 1
    }
    // Most strings have no escape: one validation, no second buffer.
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") {
      guard let text = String(validating: bytes[start..<offset], as: UTF8.self) else {
        throw syntaxError("a string is not valid UTF-8")
      }
      offset += 1
      return text
    }
    var content = Array(bytes[start..<offset])
    while true {
      guard offset < bytes.count else { throw syntaxError("the text ends inside a string") }
      let byte = bytes[offset]
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: content, as: UTF8.self) else {
          throw syntaxError("a string is not valid UTF-8")
        }
        return text
      case UInt8(ascii: "\\"):
        try escape(into: &content)
      case 0..<0x20:
        offset -= 1
        throw syntaxError("a control character inside a string")
      default:
        content.append(byte)
      }
    }
  }

  /// Reads a number as the text that stands there, checked against the grammar.
  package mutating func number() throws(JSONError) -> String {
    skipWhitespace()
    let start = offset
    if peek() == UInt8(ascii: "-") { offset += 1 }
    if peek() == UInt8(ascii: "0") {
      offset += 1
    } else {
      try digits()
    }
    if peek() == UInt8(ascii: ".") {
      offset += 1
      try digits()
    }
    if let byte = peek(), byte | 0x20 == UInt8(ascii: "e") {
      offset += 1
      if let sign = peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { offset += 1 }
      try digits()
    }
    return String(decoding: bytes[start..<offset], as: UTF8.self)
  }

  /// Reads a whole number that fits an `Int`, written without fraction and exponent.
  package mutating func integer() throws(JSONError) -> Int {
    skipWhitespace()
    let start = offset
    guard let value = Int(try number()) else {
      offset = start
      throw syntaxError("a whole number of at most 63 bits was expected")
    }
    return value
  }

  /// Reads `true` or `false`.
  package mutating func bool() throws(JSONError) -> Bool {
    if try peekKind() == .bool, bytes[offset] == UInt8(ascii: "t") {
      try literal("true")
      return true
    }
    try literal("false")
    return false
  }

  /// Reads `null`.
  package mutating func null() throws(JSONError) {
    try literal("null")
  }

  /// Reads the next value, whatever it is, and forgets it.
  package mutating func skip() throws {
    switch try peekKind() {
    case .object: try object { scanner, _ in try scanner.skip() }
    case .array: try array { scanner in try scanner.skip() }
    case .string: _ = try string()
    case .number: _ = try number()
    case .bool: _ = try bool()
    case .null: try null()
    }
  }

  /// Checks that only white space is left.
  package mutating func end() throws(JSONError) {
    skipWhitespace()
    guard offset == bytes.count else { throw syntaxError("text after the end of the value") }
  }

  // MARK: - Pieces

  private func peek() -> UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func skipWhitespace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      default: return
      }
    }
  }

  private mutating func consume(_ byte: UInt8) -> Bool {
    skipWhitespace()
    guard peek() == byte else { return false }
    offset += 1
    return true
  }

  private mutating func expect(_ byte: UInt8) throws(JSONError) {
    guard consume(byte) else {
      let found = peek().map(quoted) ?? "the end of the text"
      throw syntaxError("found \(found), expected \(quoted(byte))")
    }
  }

  private mutating func enter(_ byte: UInt8) throws(JSONError) {
    try expect(byte)
    depth += 1
    guard depth <= Self.maximumDepth else {
      throw syntaxError("nested deeper than \(Self.maximumDepth) levels")
    }
  }

  private mutating func literal(_ word: StaticString) throws(JSONError) {
    skipWhitespace()
    let expected = Array(word.description.utf8)
    guard bytes[offset...].starts(with: expected) else {
      throw syntaxError("expected \(word)")
    }
    offset += expected.count
  }

  private mutating func digits() throws(JSONError) {
    let start = offset
    while let byte = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { offset += 1 }
    guard offset > start else { throw syntaxError("a digit is missing in a number") }
  }

  private mutating func escape(into content: inout [UInt8]) throws(JSONError) {
    guard let byte = peek() else { throw syntaxError("the text ends inside a string") }
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
    case UInt8(ascii: "b"): content.append(0x08)
    case UInt8(ascii: "f"): content.append(0x0C)
    case UInt8(ascii: "n"): content.append(0x0A)
    case UInt8(ascii: "r"): content.append(0x0D)
    case UInt8(ascii: "t"): content.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if (0xD800..<0xDC00).contains(code), peek() == UInt8(ascii: "\\") {
        offset += 1
        guard peek() == UInt8(ascii: "u") else { throw syntaxError("an unpaired surrogate escape") }
        offset += 1
        let low = try hexadecimal()
        guard (0xDC00..<0xE000).contains(low) else {
          throw syntaxError("an unpaired surrogate escape")
        }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else {
        throw syntaxError("an unpaired surrogate escape")
      }
      content.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
    default:
      throw syntaxError("an unknown escape, \\\(quoted(byte))")
    }
  }

  private mutating func hexadecimal() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw syntaxError("four hexadecimal digits are expected after \\u")
      }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    return value
  }

  private func quoted(_ byte: UInt8) -> String {
    (0x20..<0x7F).contains(byte)
      ? "\"\(Character(Unicode.Scalar(byte)))\""
      : "the byte 0x" + String(byte, radix: 16, uppercase: true)
  }
}

/// The keys of one object so far: most objects have few, and there are tens of thousands of them in a header.
private struct SeenKeys {
  private static let fewCount = 8
  private var few: [ExactString] = []
  private var many = Set<ExactString>()

  /// Takes a key.
  ///
  /// - Returns: false if it was there.
  mutating func insert(_ key: ExactString) -> Bool {
    if !many.isEmpty { return many.insert(key).inserted }
    if few.contains(key) { return false }
    few.append(key)
    if few.count > Self.fewCount { many = Set(few) }
    return true
  }
}

// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// A member of an object whose value is an array of so many elements that they are made one by one.
package struct JSONLongMember {
  let key: String
  let count: Int
  let element: (Int) -> JSONValue

  /// - Parameters:
  ///   - key: The member's key.
  ///   - count: How many elements there are.
  ///   - element: Makes the one at an index.
  package init(key: String, count: Int, element: @escaping (_ index: Int) -> JSONValue) {
    self.key = key
    self.count = count
    self.element = element
  }
}

/// Writes JSON values as UTF-8 text.
///
/// Members keep their order and numbers their shortest exact form, so equal values give equal
/// bytes. Numbers that JSON has no form for are written as strings: "NaN", "Infinity", "-Infinity".
package enum JSONWriter {
  /// One line without spaces.
  package static func compact(_ value: JSONValue) -> [UInt8] {
    var output: [UInt8] = []
    write(value, indent: nil, into: &output)
    return output
  }

  /// An object on one line without spaces, its last members long arrays.
  package static func compact(
    _ members: [JSONMember], then longMembers: [JSONLongMember]
  ) -> [UInt8] {
    var output = compact(.object(members))
    output.removeLast()
    for member in longMembers {
      if output.count > 1 { output.append(UInt8(ascii: ",")) }
      writeString(member.key, into: &output)
      output.append(contentsOf: ":[".utf8)
      for index in 0..<member.count {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        write(member.element(index), indent: nil, into: &output)
      }
      output.append(UInt8(ascii: "]"))
    }
    output.append(UInt8(ascii: "}"))
    return output
  }

  /// Indented by two spaces, with a newline at the end.
  package static func pretty(_ value: JSONValue) -> [UInt8] {
    var output: [UInt8] = []
    write(value, indent: 0, into: &output)
    output.append(UInt8(ascii: "\n"))
    return output
  }

  /// The same document in ASCII: characters beyond it, which only strings hold, are escaped.
  ///
  /// - Parameter document: JSON as UTF-8.
  /// - Returns: JSON with the same values.
  package static func escapingNonASCII(_ document: [UInt8]) -> [UInt8] {
    guard document.contains(where: { $0 >= 0x80 }) else { return document }
    var output: [UInt8] = []
    for unit in String(decoding: document, as: UTF8.self).utf16 {
      if let byte = UInt8(exactly: unit), byte < 0x80 {
        output.append(byte)
      } else {
        writeEscape(unit, into: &output)
      }
    }
    return output
  }

  private static func writeEscape(_ unit: UInt16, into output: inout [UInt8]) {
    let digits = String(unit, radix: 16)
    output.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count)).utf8)
    output.append(contentsOf: digits.utf8)
  }

  /// A short form of a value for an error message.
  static func summary(of value: JSONValue) -> String {
    switch value {
    case .array(let elements): "an array of \(elements.count)"
    case .object(let members): "an object of \(members.count)"
    case .string(let text) where text.utf8.count > 60: "a string of \(text.utf8.count) bytes"
    default: String(decoding: compact(value), as: UTF8.self)
    }
  }

  private static func write(_ value: JSONValue, indent: Int?, into output: inout [UInt8]) {
    switch value {
    case .null: output.append(contentsOf: "null".utf8)
    case .bool(let flag): output.append(contentsOf: (flag ? "true" : "false").utf8)
    case .integer(let number): output.append(contentsOf: String(number).utf8)
    case .number(let number): output.append(contentsOf: text(of: number).utf8)
    case .string(let text): writeString(text, into: &output)
    case .array(let elements):
      // Arrays of plain values stay on one line: shapes and histograms read better so.
      let nested = elements.contains { element in
        switch element {
        case .array, .object: true
        default: false
        }
      }
      writeList(
        elements, open: "[", close: "]", indent: nested ? indent : nil,
        spaced: indent != nil, into: &output
      ) { element, indent, output in write(element, indent: indent, into: &output) }
    case .object(let members):
      writeList(
        members, open: "{", close: "}", indent: indent, spaced: false, into: &output
      ) { member, indent, output in
        writeString(member.key.text, into: &output)
        output.append(contentsOf: (indent == nil ? ":" : ": ").utf8)
        write(member.value, indent: indent, into: &output)
      }
    }
  }

  private static func writeList<Element>(
    _ elements: [Element], open: String, close: String, indent: Int?, spaced: Bool,
    into output: inout [UInt8],
    _ body: (Element, Int?, inout [UInt8]) -> Void
  ) {
    output.append(contentsOf: open.utf8)
    for (index, element) in elements.enumerated() {
      if index > 0 { output.append(contentsOf: (spaced && indent == nil ? ", " : ",").utf8) }
      if let indent { newline(indent + 2, into: &output) }
      body(element, indent.map { $0 + 2 }, &output)
    }
    if let indent, !elements.isEmpty { newline(indent, into: &output) }
    output.append(contentsOf: close.utf8)
  }

  private static func newline(_ indent: Int, into output: inout [UInt8]) {
    output.append(UInt8(ascii: "\n"))
    output.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent))
  }

  private static func text(of number: Double) -> String {
    if number.isNaN { return "\"NaN\"" }
    if number.isInfinite { return number < 0 ? "\"-Infinity\"" : "\"Infinity\"" }
    return number.description
  }

  private static func writeString(_ text: String, into output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        output.append(UInt8(ascii: "\\"))
        output.append(byte)
      case 0x0A: output.append(contentsOf: "\\n".utf8)
      case 0x0D: output.append(contentsOf: "\\r".utf8)
      case 0x09: output.append(contentsOf: "\\t".utf8)
      case 0..<0x20, 0x7F:
        writeEscape(UInt16(byte), into: &output)
      default: output.append(byte)
      }
    }
    output.append(UInt8(ascii: "\""))
  }
}

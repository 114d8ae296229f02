// SPDX-License-Identifier: Apache-2.0

import JSON
import TensorCore
import Testing

/// What the parser refuses although many others accept it, and what it accepts although it is odd.
@Suite struct JSONStrictnessTests {
  private func parse(_ text: String) throws -> JSONValue {
    try parse(Array(text.utf8))
  }

  private func parse(_ bytes: [UInt8]) throws -> JSONValue {
    try JSONValue(parsing: bytes, file: "test.json")
  }

  /// The offset of the syntax error that a text gives; nil if it gives none or another error.
  private func errorOffset(_ bytes: [UInt8]) -> Int? {
    do throws(any Error) {
      _ = try parse(bytes)
      return nil
    } catch JSONError.syntax("test.json", let offset, _) {
      return offset
    } catch {
      return nil
    }
  }

  @Test(
    arguments: [
      // Nothing, or not enough.
      ("", 0), ("  ", 2), ("{", 1), ("[", 1), ("[1", 2), ("[1,", 3), ("{\"a\"", 4), ("{\"a\":", 5),
      ("\"a", 2), ("\"\\", 2), ("tru", 0), ("-", 1),
      // Text after the end.
      ("1 2", 2), ("{}{}", 2), ("[]]", 2), ("nullx", 4), ("true false", 5), ("{} //", 3),
      // Almost JSON.
      ("{'a': 1}", 1), ("['a']", 1), ("[1,]", 3), ("{\"a\":1,}", 7), ("{\"a\" 1}", 5),
      ("{a:1}", 1), ("[1 2]", 3), ("{,}", 1), ("[,]", 1), ("[1,,2]", 3), ("{1:2}", 1),
      ("/* */1", 0), ("#\n1", 0), ("True", 0), ("None", 0), ("undefined", 0),
      // Numbers.
      ("NaN", 0), ("[NaN]", 1), ("Infinity", 0), ("-Infinity", 1), ("+1", 0), ("01", 1), ("-01", 2),
      ("00", 1), (".5", 0), ("1.", 2), ("1e", 2), ("1e+", 3), ("0x10", 1), ("1_000", 1),
      ("1.e3", 2),
      // White space that JSON does not know.
      ("\u{A0}1", 0), ("\u{B}1", 0), ("\u{C}1", 0), ("\u{2028}1", 0), ("\u{FEFF}1", 0),
    ] as [(String, Int)])
  func `what is not JSON is refused where it goes wrong`(text: String, offset: Int) {
    #expect(errorOffset(Array(text.utf8)) == offset, "\(text)")
  }

  @Test func `a byte-order mark and UTF-16 are refused at the first byte`() {
    #expect(errorOffset([0xEF, 0xBB, 0xBF] + Array("{}".utf8)) == 0)
    #expect(errorOffset([0xFF, 0xFE, 0x7B, 0, 0x7D, 0]) == 0)
    #expect(errorOffset([0xFE, 0xFF, 0, 0x7B, 0, 0x7D]) == 0)
    #expect(errorOffset([0x7B, 0, 0x7D, 0]) != nil)
    #expect(errorOffset([0, 0x7B, 0, 0x7D]) == 0)
    #expect(errorOffset(Array("{}\0".utf8)) == 2)
  }

  @Test(arguments: 0..<0x20)
  func `control characters in strings are refused`(code: UInt8) {
    #expect(errorOffset([0x22, 0x61, code, 0x22]) == 2)
    // Also behind an escape, where another loop reads.
    #expect(errorOffset([0x22, 0x5C, 0x6E, code, 0x22]) == 3)
  }

  @Test(arguments: [
    "\\uD800", "\\uDBFF", "\\uDC00", "\\uDFFF", "\\uD800\\uD800", "\\uD800\\n", "\\uD800x",
    "\\uD800\\u0041", "\\uDC00\\uD800", "\\u", "\\u12", "\\u12G4", "\\u+123", "\\u 123", "\\x41",
    "\\'", "\\0", "\\U0041", "\\ud8",
  ])
  func `broken escapes are refused`(escape: String) {
    #expect(errorOffset(Array("\"\(escape)\"".utf8)) != nil)
    #expect(errorOffset(Array("{\"\(escape)\":1}".utf8)) != nil)
  }

  @Test(
    arguments: [
      [0x80], [0xC3], [0xC3, 0x28], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80],
      [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80],
      [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xE2, 0x82],
    ] as [[UInt8]])
  func `invalid UTF-8 is refused`(bytes: [UInt8]) {
    #expect(errorOffset([0x22] + bytes + [0x22]) != nil)
    #expect(errorOffset([0x22, 0x5C, 0x6E] + bytes + [0x22]) != nil)
    #expect(errorOffset([0x7B, 0x22] + bytes + [0x22, 0x3A, 0x31, 0x7D]) != nil)
  }

  @Test func `valid UTF-8 at the borders is accepted`() throws {
    for scalar in ["\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFF}"] {
      #expect(try parse("\"\(scalar)\"") == .string(scalar))
    }
    #expect(try parse("\"\u{10000}\u{10FFFF}\"") == .string("\u{10000}\u{10FFFF}"))
  }

  @Test func `escapes are resolved`() throws {
    let text = #""\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\uD83D\uDE00\u0000\uFFFF""#
    #expect(
      try parse(text) == .string("\"\\/\u{8}\u{C}\n\r\tA\u{E9}\u{20AC}\u{1F600}\0\u{FFFF}"))
  }

  @Test func `a key may stand only once in an object, at any depth and however it is escaped`() {
    for (text, offset) in [
      (#"{"a":1,"a":1}"#, 7), (#"{"a":1,"b":2,"a":3}"#, 13), (#"{"a":1,"\u0061":1}"#, 7),
      (#"[{"x":{"a":1,"a":2}}]"#, 13), (#"{"":1,"":2}"#, 6),
    ] {
      do throws(any Error) {
        _ = try parse(text)
        Issue.record("accepted \(text)")
      } catch JSONError.duplicateKey("test.json", offset, _) {
      } catch {
        Issue.record("\(text): \(error)")
      }
    }
    #expect(throws: Never.self) { try parse(#"[{"a":1},{"a":1},{"b":{"a":1},"a":1}]"#) }
  }

  @Test func `keys are compared as bytes, so that é composed and decomposed are two`() throws {
    let value = try parse("{\"\u{E9}\":1,\"e\u{301}\":2}")
    #expect(value["\u{E9}"] == .integer(1))
    #expect(value["e\u{301}"] == .integer(2))
    #expect(value["e"] == nil)
  }

  @Test func `the depth is bounded at 128, in trees and in skipped values`() throws {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
      func nested(_ depth: Int) -> [UInt8] {
        let inner = open == "[" ? "" : "1"
        return Array(
          (String(repeating: open, count: depth) + inner + String(repeating: close, count: depth))
            .utf8)
      }
      #expect(throws: Never.self) { try parse(nested(128)) }
      #expect(errorOffset(nested(129)) != nil)
      #expect(errorOffset(nested(100_000)) != nil)
      var scanner = JSONScanner(nested(128), file: "test.json")
      try scanner.skip()
      try scanner.end()
      scanner = JSONScanner(nested(129), file: "test.json")
      #expect(throws: JSONError.self) { try scanner.skip() }
    }
    // Depth is not the number of containers.
    let flat = "[" + [String](repeating: "[{}]", count: 1000).joined(separator: ",") + "]"
    #expect(throws: Never.self) { try parse(flat) }
  }
}

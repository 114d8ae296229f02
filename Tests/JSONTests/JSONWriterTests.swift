// SPDX-License-Identifier: Apache-2.0

import JSON
import TensorCore
import TestSupport
import Testing

/// The writer, and that the parser reads back what it wrote.
@Suite struct JSONWriterTests {
  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test func `compact text has no spaces and keeps the order of members`() {
    let value: JSONValue = [
      "z": [1, -2, true], "a": .null, "n": .number(0.1), "o": [:], "l": [], "s": "a\"b\\c/\u{E9}",
    ]
    #expect(
      text(JSONWriter.compact(value))
        == #"{"z":[1,-2,true],"a":null,"n":0.1,"o":{},"l":[],"s":"a\"b\\c/é"}"#)
  }

  @Test func `long members are written as if they were values`() {
    let members = [JSONMember(key: "a", value: .integer(1)), JSONMember(key: "b", value: .null)]
    for first in [[], members] {
      for counts in [[0], [1], [3], [2, 0, 5]] {
        let keys = counts.indices.map { "long \($0)\n" }
        let long = zip(keys, counts).map { key, count in
          JSONLongMember(key: key, count: count) { ["n": .integer($0)] }
        }
        let values = zip(keys, counts).map { key, count in
          JSONMember(key: ExactString(key), value: .array((0..<count).map { ["n": .integer($0)] }))
        }
        #expect(
          JSONWriter.compact(first, then: long) == JSONWriter.compact(.object(first + values)))
      }
    }
    #expect(text(JSONWriter.compact([], then: [])) == "{}")
  }

  @Test func `pretty text is indented by two, plain arrays stay on a line`() {
    let value: JSONValue = [
      "a": [1, 2], "b": ["c": "x", "d": [["e": 1], [2, 3]]], "f": [], "g": [:],
    ]
    #expect(
      text(JSONWriter.pretty(value)) == """
        {
          "a": [1, 2],
          "b": {
            "c": "x",
            "d": [
              {
                "e": 1
              },
              [2, 3]
            ]
          },
          "f": [],
          "g": {}
        }

        """)
  }

  @Test func `numbers have their shortest exact form, what JSON has no form for is a string`() {
    for (number, expected) in [
      (0.1, "0.1"), (1e-7, "1e-07"), (-2.5, "-2.5"), (1e22, "1e+22"), (.nan, "\"NaN\""),
      (.infinity, "\"Infinity\""), (-.infinity, "\"-Infinity\""), (-0.0, "-0.0"),
    ] as [(Double, String)] {
      #expect(text(JSONWriter.compact(.number(number))) == expected)
    }
  }

  @Test func `control characters are escaped`() {
    #expect(
      text(JSONWriter.compact("\0\u{1}\n\r\t\u{1F}\u{7F}")) == #""\u0000\u0001\n\r\t\u001f\u007f""#)
  }

  @Test func `what was written is read back, compact or pretty`() throws {
    var random = SeededGenerator(seed: 20_261)
    for _ in 0..<400 {
      let value = tree(depth: 5, &random)
      let compact = JSONWriter.compact(value)
      #expect(try JSONValue(parsing: compact, file: "x") == value)
      let pretty = JSONWriter.pretty(value)
      #expect(try JSONValue(parsing: pretty, file: "x") == value)
      var scanner = JSONScanner(pretty, file: "x")
      try scanner.skip()
      try scanner.end()
    }
  }

  @Test func `damaged text gives a value or a JSON error, never a trap`() throws {
    var random = SeededGenerator(seed: 20_262)
    let bytes = JSONWriter.compact(tree(depth: 6, &random))
    #expect(bytes.count > 50)
    for _ in 0..<3000 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) where !damaged.isEmpty {
        let place = Int.random(in: 0..<damaged.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: damaged[place] = .random(in: 0...255, using: &random)
        case 1: damaged.remove(at: place)
        case 2: damaged.removeSubrange(place...)
        default: damaged.insert(contentsOf: bytes.prefix(place), at: place)
        }
      }
      do {
        let value = try JSONValue(parsing: damaged, file: "x")
        #expect(try JSONValue(parsing: JSONWriter.compact(value), file: "x") == value)
      } catch {
        #expect(error is JSONError)
      }
    }
  }

  private func tree(depth: Int, _ random: inout SeededGenerator) -> JSONValue {
    switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &random) {
    case 0: return .null
    case 1: return .bool(.random(using: &random))
    case 2: return .integer(.random(in: .min ... .max, using: &random))
    case 3: return .number(Double.random(in: -1...1, using: &random) * 1e-3)
    case 4: return .string(string(&random))
    case 5:
      return .array(
        (0..<Int.random(in: 0..<5, using: &random)).map { _ in tree(depth: depth - 1, &random) })
    default:
      let members = (0..<Int.random(in: 0..<5, using: &random)).map { index in
        JSONMember(
          key: ExactString("\(index)" + string(&random)), value: tree(depth: depth - 1, &random))
      }
      return .object(members)
    }
  }

  private func string(_ random: inout SeededGenerator) -> String {
    let scalars: [Unicode.Scalar] = [
      "a", "\"", "\\", "\n", "\0", "\u{7F}", "\u{E9}", "\u{301}", "\u{20AC}", "\u{1F600}", "\r",
      "\u{FFFF}", "/",
    ]
    var text = String.UnicodeScalarView()
    for _ in 0..<Int.random(in: 0..<8, using: &random) {
      text.append(scalars[Int.random(in: 0..<scalars.count, using: &random)])
    }
    return String(text)
  }
}

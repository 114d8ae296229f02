// SPDX-License-Identifier: Apache-2.0

import JSON
import TensorCore
import Testing

/// Numbers at the borders of what an `Int` and a `Double` hold.
@Suite struct JSONNumberTests {
  private func parse(_ text: String) throws -> JSONValue {
    try JSONValue(parsing: Array(text.utf8), file: "test.json")
  }

  @Test(arguments: [
    ("0", 0), ("-0", 0), ("7", 7), ("-12", -12), (" 5 ", 5),
    ("9223372036854775807", Int.max), ("-9223372036854775808", Int.min),
  ])
  func `whole numbers that fit are integers`(text: String, number: Int) throws {
    #expect(try parse(text) == .integer(number))
    var scanner = JSONScanner(Array(text.utf8), file: "test.json")
    #expect(try scanner.integer() == number)
  }

  @Test(arguments: [
    "9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
    "1e30", "100000000000000000000000000000000000000000",
  ])
  func `numbers beyond 63 bits are never integers and never trap`(text: String) throws {
    guard case .number(let number) = try parse(text) else {
      Issue.record("\(text) is an integer")
      return
    }
    #expect(number == Double(text))
    var scanner = JSONScanner(Array(text.utf8), file: "test.json")
    #expect(throws: JSONError.self) { try scanner.integer() }
    let field = JSONField(file: "test.json", root: try parse("{\"n\":\(text)}"))["n"]
    #expect(throws: JSONError.self) { try field.integer(in: Int.min...Int.max) }
    #expect(try field.number() == number)
  }

  @Test(arguments: ["1.0", "1e0", "0.5", "-0.0", "1E2", "1.5e-7", "10.25E+3"])
  func `a fraction or an exponent makes it no integer, even where the value is whole`(
    text: String
  ) throws {
    #expect(try parse(text) == .number(try #require(Double(text))))
    var scanner = JSONScanner(Array(text.utf8), file: "test.json")
    #expect(throws: JSONError.self) { try scanner.integer() }
  }

  @Test func `a number that no Double holds is not a number to a reader`() throws {
    for text in ["1e999", "-1e999"] {
      let field = JSONField(file: "test.json", root: try parse("{\"n\":\(text)}"))["n"]
      #expect(throws: JSONError.self) { try field.number() }
    }
    #expect(try parse("1e-999") == .number(0))
  }

  @Test func `fields check kind and range and name their path`() throws {
    let text = #"{"a":{"n":5,"t":true,"s":"x","l":[1,"two"],"z":null}}"#
    let root = JSONField(file: "f.json", root: try parse(text))
    let section = root["a"]
    #expect(try section["n"].integer(in: 5...5) == 5)
    #expect(try section["n"].number() == 5)
    #expect(try section["t"].bool())
    #expect(try section["s"].string() == "x")
    #expect(try section.object().map(\.key) == ["n", "t", "s", "l", "z"])
    #expect(!section["z"].isPresent && section["z"].ifPresent == nil)
    #expect(!section["q"].isPresent && section["n"].isPresent)
    func expect(_ description: String, _ read: () throws -> Void) {
      do {
        try read()
        Issue.record("expected: \(description)")
      } catch {
        #expect("\(error)" == description)
      }
    }
    expect("f.json: \"a.n\" is 5, expected a whole number from 6 to 9") {
      _ = try section["n"].integer(in: 6...9)
    }
    expect("f.json: \"a.t\" is true, expected a whole number from 0 to 1") {
      _ = try section["t"].integer(in: 0...1)
    }
    expect("f.json: \"a.n\" is 5, expected true or false") { _ = try section["n"].bool() }
    expect("f.json: \"a.s\" is \"x\", expected a number") { _ = try section["s"].number() }
    expect("f.json: \"a.l[1]\" is \"two\", expected a number") {
      _ = try section["l"].array().map { try $0.number() }
    }
    expect("f.json: \"a.l\" is an array of 2, expected a string") {
      _ = try section["l"].string()
    }
    expect("f.json: \"a\" is an object of 5, expected an array") { _ = try section.array() }
    expect("f.json: key \"a.q\" is missing") { _ = try section["q"].string() }
    expect("f.json: key \"x.y\" is missing") { _ = try root["x"]["y"].string() }
    expect("f.json: \"a.z\" is null, expected a string") { _ = try section["z"].string() }
  }
}

// SPDX-License-Identifier: Apache-2.0

import JSON
import KimiLinear
import Testing

/// The tokens that end a text.
@Suite struct EndTokensTests {
  private func read(_ text: String) throws -> Set<Int> {
    let root = try JSONValue(parsing: Array(text.utf8), file: "config.json")
    return try EndTokens.read(JSONField(file: "config.json", root: root), vocabularySize: 10)
  }

  @Test func `an id, a list of ids, or none`() throws {
    #expect(try read("{\"eos_token_id\": 0}") == [0])
    #expect(try read("{\"eos_token_id\": 9}") == [9])
    #expect(try read("{\"eos_token_id\": [3, 9, 3]}") == [3, 9])
    #expect(try read("{\"eos_token_id\": []}") == [])
    #expect(try read("{\"eos_token_id\": null}") == [])
    #expect(try read("{}") == [])
  }

  @Test(arguments: ["10", "-1", "[1, 10]", "\"1\"", "1.5", "[[1]]", "true"])
  func `anything else is refused`(value: String) {
    #expect(throws: JSONError.self) { try read("{\"eos_token_id\": \(value)}") }
  }
}

// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing
import Tokenization

struct SpecialTokenTests {
  private func tokenizer(_ added: [String: String]) throws -> Tokenizer {
    let members = added.map { "\"\($0.key)\": {\"content\": \"\($0.value)\", \"special\": true}" }
    return try tokenizer(
      configuration: "{\"added_tokens_decoder\": {\(members.joined(separator: ","))}}")
  }

  private func tokenizer(configuration: String?) throws -> Tokenizer {
    try TinyVocabulary.tokenizer(TinyVocabulary.lines(["ab"]), configuration: configuration)
  }

  @Test(arguments: [
    nil, "{}", "{\"added_tokens_decoder\": null}", "{\"added_tokens_decoder\": {}}",
  ])
  func withoutNamesTheyAreReserved(configuration: String?) throws {
    let tokenizer = try tokenizer(configuration: configuration)
    #expect(tokenizer.vocabularySize == 513)
    #expect(tokenizer.name(ofSpecial: 256) == nil)
    #expect(tokenizer.name(ofSpecial: 257) == "<|reserved_token_257|>")
    #expect(tokenizer.name(ofSpecial: 512) == "<|reserved_token_512|>")
    #expect(tokenizer.name(ofSpecial: 513) == nil)
    #expect(tokenizer.name(ofSpecial: -1) == nil)
  }

  @Test func namesComeFromTheConfiguration() throws {
    let tokenizer = try tokenizer(["257": "[BOS]", "512": "[PAD]"])
    #expect(tokenizer.name(ofSpecial: 257) == "[BOS]")
    #expect(tokenizer.name(ofSpecial: 258) == "<|reserved_token_258|>")
    #expect(tokenizer.name(ofSpecial: 512) == "[PAD]")
    #expect(try tokenizer.decode([257, 97, 512]) == Array("[BOS]a[PAD]".utf8))
  }

  @Test func plainTextNeverBecomesSpecial() throws {
    let tokenizer = try tokenizer(["257": "[BOS]"])
    #expect(try tokenizer.encode("[BOS]") == "[BOS]".utf8.map { Int($0) })
    #expect(try tokenizer.encode("[BOS]", allowSpecial: true) == [257])
  }

  @Test func theLeftmostAndLongestNameIsTaken() throws {
    let tokenizer = try tokenizer(["257": "<a>", "258": "<a><b>", "259": "b>c", "260": "é"])
    let cases: [(String, [Int])] = [
      ("<a>", [257]), ("<a><a><b>", [257, 258]), ("<a><b>c", [258, 99]), ("x<b>c", [120, 60, 259]),
      ("<a", [60, 97]), ("éab", [260, 256]), ("e\u{301}", [101, 0xCC, 0x81]),
    ]
    for (text, ids) in cases {
      #expect(try tokenizer.encode(text, allowSpecial: true) == ids, "\(text)")
    }
  }

  @Test func aSpecialTokenEndsTheTextBeforeIt() throws {
    // Within a text, the last of several spaces belongs to the word that follows.
    let tokenizer = try TinyVocabulary.tokenizer(
      TinyVocabulary.lines(["  "]),
      configuration: "{\"added_tokens_decoder\":{\"257\":{\"content\":\"x\"}}}")
    #expect(try tokenizer.encode("  x") == [32, 32, 120])
    #expect(try tokenizer.encode("  x", allowSpecial: true) == [256, 257])
  }

  @Test func tokensMayBeAddedBehindTheReservedOnes() throws {
    let tokenizer = try tokenizer(["257": "[BOS]", "513": "<tool>", "600": "<end>"])
    #expect(tokenizer.vocabularySize == 601)
    #expect(tokenizer.name(ofSpecial: 513) == "<tool>" && tokenizer.name(ofSpecial: 514) == nil)
    #expect(tokenizer.id(ofSpecial: "<end>") == 600 && tokenizer.id(ofSpecial: "<none>") == nil)
    #expect(tokenizer.hasToken(600) && tokenizer.hasToken(97) && !tokenizer.hasToken(599))
    #expect(try tokenizer.encode("a<tool><end>", allowSpecial: true) == [97, 513, 600])
    #expect(try tokenizer.encode("<tool>") == "<tool>".utf8.map { Int($0) })
    #expect(try tokenizer.decode([513, 600]) == Array("<tool><end>".utf8))
    #expect(throws: TokenizerError.self) { try tokenizer.decode([514]) }
    #expect(throws: TokenizerError.self) { try self.tokenizer(["513": "[X]", "257": "[X]"]) }
  }

  @Test(arguments: [
    "16777472", "-1", "", "257 ", "+257", "0257", "x", "99999999999999999999", "0x101",
  ])
  func aKeyThatIsNoID(key: String) {
    #expect(
      throws: TokenizerError.notASpecialToken(
        file: "tokenizer_config.json", key: key, expected: 257...16_777_471)
    ) {
      try tokenizer([key: "[X]"])
    }
  }

  @Test func ordinaryTokensMayBeListedAsTheyAre() throws {
    let tokenizer = try tokenizer(["97": "a", "256": "ab"])
    #expect(try tokenizer.encode("ab", allowSpecial: true) == [256])
    #expect(tokenizer.name(ofSpecial: 256) == nil)
    #expect(
      throws: TokenizerError.notASpecialToken(
        file: "tokenizer_config.json", key: "97", expected: 257...16_777_471)
    ) {
      try self.tokenizer(["97": "b"])
    }
  }

  @Test func namesThatCannotBeToldApart() {
    #expect(
      throws: TokenizerError.duplicateSpecialToken(
        file: "tokenizer_config.json", name: "[X]", id: 260, firstID: 258)
    ) {
      try tokenizer(["258": "[X]", "260": "[X]"])
    }
    // Of several, the first in the order of the ids.
    #expect(
      throws: TokenizerError.duplicateSpecialToken(
        file: "tokenizer_config.json", name: "[Z]", id: 261, firstID: 259)
    ) {
      try tokenizer(["258": "[A]", "259": "[Z]", "261": "[Z]", "262": "[A]"])
    }
    #expect(
      throws: TokenizerError.duplicateSpecialToken(
        file: "tokenizer_config.json", name: "<|reserved_token_259|>", id: 259, firstID: 257)
    ) {
      try tokenizer(["257": "<|reserved_token_259|>"])
    }
    #expect(throws: TokenizerError.emptySpecialToken(file: "tokenizer_config.json", id: 258)) {
      try tokenizer(["258": ""])
    }
  }

  @Test func canonicallyEquivalentNamesAreTwo() throws {
    let tokenizer = try tokenizer(["257": "\u{E9}", "258": "e\u{301}"])
    #expect(try tokenizer.encode("e\u{301}\u{E9}", allowSpecial: true) == [258, 257])
  }

  @Test(arguments: [
    "", "[]", "{\"added_tokens_decoder\": []}", "{\"added_tokens_decoder\": {\"257\": \"[BOS]\"}}",
    "{\"added_tokens_decoder\": {\"257\": {}}}",
    "{\"added_tokens_decoder\": {\"257\": {\"content\": 1}}}",
    "{\"added_tokens_decoder\": {}, \"added_tokens_decoder\": {}}",
  ])
  func aConfigurationOfAnotherShape(configuration: String) {
    #expect(throws: JSONError.self) {
      try tokenizer(configuration: configuration)
    }
  }
}

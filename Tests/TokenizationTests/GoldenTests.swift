// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport
import Testing
import Tokenization

/// What `tiktoken` made of awkward strings with the vocabularies of two checkpoints.
@Suite(
  .enabled(if: SharedData.has("golden/tokenizer_mini.json"), "the shared golden values are absent"))
struct GoldenTests {
  @Test(arguments: ["mini", "nano"])
  func idsAreThoseOfTiktoken(name: String) throws {
    let tokenizer = try Tokenizer(
      model: SharedData.bytes("checkpoints/\(name)/tiktoken.model"), modelFile: "tiktoken.model",
      configuration: SharedData.bytes("checkpoints/\(name)/tokenizer_config.json"),
      configurationFile: "tokenizer_config.json", vocabularySize: nil)
    let file = "golden/tokenizer_\(name).json"
    let golden = JSONField(
      file: file, root: try JSONValue(parsing: SharedData.bytes(file), file: file))
    #expect(try golden["vocabulary"].integer(in: 1...1_000_000) == tokenizer.vocabularySize - 256)
    let cases = try golden["cases"].array()
    #expect(!cases.isEmpty)
    for example in cases {
      let text = try example["text"].string()
      let bytes = Array(text.utf8)
      for (key, allowSpecial) in [("ids", false), ("with_special", true)] {
        let expected = try example[key].array().map { try $0.integer(in: 0...1_000_000) }
        let ids = try tokenizer.encode(bytes, file: file, allowSpecial: allowSpecial)
        #expect(ids == expected, "\(key) of \(text.debugDescription)")
        #expect(try tokenizer.decode(ids) == bytes, "\(key) of \(text.debugDescription)")
      }
    }
  }

  @Test func oneMillionLettersEncodeInGoodTime() throws {
    let tokenizer = try Tokenizer(
      model: SharedData.bytes("checkpoints/mini/tiktoken.model"), modelFile: "tiktoken.model",
      configuration: nil, configurationFile: "", vocabularySize: 8192)
    let text = [UInt8](repeating: UInt8(ascii: "-"), count: 1_000_000)
    let ids = try withDeadline { try tokenizer.encode(text, file: "text") }
    #expect(ids.count < text.count)
    #expect(try tokenizer.decode(ids) == text)
  }
}

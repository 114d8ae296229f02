// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@Suite("generate")
struct GenerateTests {
  private let scratch: Scratch
  private let prompt = String(Fixture.text.prefix(200))

  init() throws {
    scratch = try Scratch()
    try scratch.write(prompt, to: "prompt.txt")
  }

  private func generate(_ options: String..., model: URL = Fixture.nano) throws -> Tool.Result {
    let result = try Tool.run(
      ["generate", model.path, "--prompt-file", "prompt.txt"] + options, in: scratch.folder)
    #expect(result.status == 0, "\(result.errors)")
    return result
  }

  @Test("text as it is in the JSON document, which has the promised keys")
  func document() throws {
    let text = try generate("--max-tokens", "40")
    let json = try generate("--max-tokens", "40", "--json", "--quiet")
    #expect(json.errors.isEmpty)
    let document = try json.json()
    for key in [
      "prompt_tokens", "generated_tokens", "prompt_tokens_per_second", "tokens_per_second",
      "threads", "temperature",
    ] {
      #expect(document[key] is NSNumber, "\(key)")
    }
    #expect(text.text == (document["text"] as? String).map { $0 + "\n" })
    let tokens = try #require(document["tokens"] as? [Int])
    #expect(tokens.count == document["generated_tokens"] as? Int)
    #expect(["max_tokens", "end_token"].contains(document["ended_by"] as? String))
    #expect(text.errors.contains("tokens/s"))
  }

  @Test("a single token has no rate, since it comes with the prompt")
  func singleToken() throws {
    let result = try generate("--max-tokens", "1")
    #expect(result.errors.contains("; 1 generated; ended by max_tokens"), "\(result.errors)")
    let document = try generate("--max-tokens", "1", "--json").json()
    #expect(document["tokens_per_second"] is NSNull)
  }

  @Test("neither threads nor how a prompt is given change the text")
  func sameText() throws {
    let text = try generate("--max-tokens", "30").output
    #expect(!text.isEmpty)
    #expect(try generate("--max-tokens", "30", "--threads", "1").output == text)
    #expect(try generate("--max-tokens", "30", "--threads", "64").output == text)
    #expect(
      try expectSuccess(
        ["generate", Fixture.nano.path, "--prompt", prompt, "--max-tokens", "30", "--quiet"]
      ).output == text)
    #expect(
      try expectSuccess(
        ["generate", Fixture.nano.path, "--prompt-file", "-", "--max-tokens", "30", "--quiet"],
        input: prompt
      ).output == text)
    #expect(try generate("--max-tokens", "30", model: Fixture.packed()).output == text)
  }

  @Test("sampled text follows from the seed")
  func sampled() throws {
    func sample(_ seed: String) throws -> Data {
      try generate(
        "--max-tokens", "30", "--temperature", "1", "--top-k", "50", "--top-p", "0.95", "--seed",
        seed
      ).output
    }
    #expect(try sample("7") == sample("7"))
    #expect(try sample("7") != sample("8"))
    // However unlikely its tokens are, the text is valid.
    let wild = try generate("--max-tokens", "200", "--temperature", "50").output
    #expect(String(data: wild, encoding: .utf8) != nil)
  }

  @Test("ends at the limit of the context, or refuses a prompt beyond it")
  func limit() throws {
    let document = try generate("--json").json()
    let count = try #require(document["prompt_tokens"] as? Int)
    let short = try generate("--json", "--context-limit", "\(count + 3)").json()
    #expect(short["ended_by"] as? String == "context_limit")
    #expect(short["generated_tokens"] as? Int == 4)
    try expectFailure(
      [
        "generate", Fixture.nano.path, "--prompt-file", "prompt.txt", "--context-limit",
        "\(count - 1)",
      ], Code.badData, naming: "context", in: scratch)
  }

  @Test("an end token ends the text and is not part of it")
  func endToken() throws {
    let model = URL(fileURLWithPath: try scratch.nano(changing: "config.json"))
    let first = try #require((try generate("--json").json()["tokens"] as? [Int])?[3])
    let url = model.appendingPathComponent("config.json")
    var text = try String(contentsOf: url, encoding: .utf8)
    text = text.replacing(/"eos_token_id": *[0-9]+/, with: "\"eos_token_id\": [1, \(first)]")
    try Data(text.utf8).write(to: url)
    let ended = try generate("--json", model: model).json()
    #expect(ended["ended_by"] as? String == "end_token")
    #expect((ended["tokens"] as? [Int])?.last == first)
    try Data(text.replacing("[1, \(first)]", with: "\"x\"").utf8).write(to: url)
    try expectFailure(
      ["generate", "model", "--prompt", "x"], Code.badData, naming: "eos_token_id", in: scratch)
  }

  @Test("end tokens of generation_config.json take the place of those of config.json")
  func generationConfiguration() throws {
    let free = try #require(try generate("--json").json()["tokens"] as? [Int])
    let model = URL(fileURLWithPath: try scratch.nano())
    func ended(_ text: String, as name: String = "generation_config.json") throws -> [String: Any] {
      try scratch.write(text, to: "model/\(name)")
      return try generate("--json", model: model).json()
    }
    for (text, tokens) in [
      ("{\"eos_token_id\": \(free[3])}", [free[3]]),
      ("{\"eos_token_id\": [1794, \(free[2])]}", [1794, free[2]]),
      ("{\"eos_token_id\": null, \"top_k\": 3}", [1794]), ("{}", [1794]),
    ] {
      let document = try ended(text)
      let count = free.firstIndex(where: tokens.contains).map { $0 + 1 } ?? free.count
      #expect(document["end_tokens"] as? [Int] == tokens.sorted(), "\(text)")
      #expect((document["tokens"] as? [Int])?.count == count, "\(text)")
    }
    #expect(
      try ended("{\"eos_token_id\": 5}")["end_tokens_from"] as? String == "generation_config.json")
    // They are part of a packed model, too.
    try scratch.write("{\"eos_token_id\": [\(free[3])]}", to: "model/generation_config.json")
    try expectSuccess(["convert", "model", "a.kiln"], in: scratch.folder)
    let packed = try generate("--json", model: scratch.url("a.kiln")).json()
    #expect(packed["ended_by"] as? String == "end_token")
    // Neither an id of the vocabulary nor a list of such.
    for bad in ["2048", "[1, 99999]", "\"<end>\"", "[[1]]", "-1", "1.5"] {
      try scratch.write("{\"eos_token_id\": \(bad)}", to: "model/generation_config.json")
      try expectFailure(
        ["generate", "model", "--prompt", "x"], Code.badData, naming: "generation_config.json",
        "eos_token_id", in: scratch)
    }
  }

  @Test("the end token of the tokenizer is taken where no id is given")
  func tokenizerEndToken() throws {
    let model = URL(
      fileURLWithPath: try scratch.nano(changing: "config.json", "tokenizer_config.json"))
    try scratch.replace("\"eos_token_id\": 1794,", with: "", in: "model/config.json")
    for text in ["\"[EOS]\"", "{\"content\": \"[EOS]\"}"] {
      try scratch.write(
        "{\"added_tokens_decoder\": {\"1800\": {\"content\": \"[EOS]\"}}, \"eos_token\": \(text)}",
        to: "model/tokenizer_config.json")
      let document = try generate("--json", "--max-tokens", "2", model: model).json()
      #expect(document["end_tokens"] as? [Int] == [1800])
      #expect(document["end_tokens_from"] as? String == "tokenizer_config.json")
    }
    try scratch.write("{\"eos_token\": \"<none>\"}", to: "model/tokenizer_config.json")
    let result = try generate("--json", "--max-tokens", "2", model: model)
    #expect(result.warnings.contains { $0.contains("eos_token") })
    #expect(try result.json()["end_tokens"] as? [Int] == [])
  }

  @Test(
    "what makes no sense is refused",
    arguments: [
      [], ["--prompt", "x", "--prompt-file", "y"], ["--prompt", "x", "--max-tokens", "0"],
      ["--prompt", "x", "--context-limit", "0"], ["--prompt", "x", "--temperature", "-1"],
      ["--prompt", "x", "--temperature", "nan"], ["--prompt", "x", "--top-k", "0"],
      ["--prompt", "x", "--top-p", "0"], ["--prompt", "x", "--top-p", "1.5"],
      ["--prompt", "x", "--max-tokens", "99999999999999999999"],
    ])
  func usage(_ options: [String]) throws {
    try expectFailure(["generate", Fixture.nano.path] + options, Code.usage, in: scratch)
  }

  @Test("prompts that cannot be used are told by name")
  func badPrompts() throws {
    try expectFailure(
      ["generate", Fixture.nano.path, "--prompt", ""], Code.badData, naming: "--prompt", in: scratch
    )
    try expectFailure(
      ["generate", Fixture.nano.path, "--prompt-file", "absent.txt"], Code.missingInput,
      naming: "absent.txt", in: scratch)
    try scratch.write("", to: "empty.txt")
    try expectFailure(
      ["generate", Fixture.nano.path, "--prompt-file", "empty.txt"], Code.badData,
      naming: "empty.txt", in: scratch)
  }

  @Test("an interrupt ends it with one line", arguments: [SIGINT, SIGTERM])
  func interrupted(_ signal: Int32) throws {
    let running = try Tool.start(
      [
        "generate", Fixture.nano.path, "--prompt", "x", "--max-tokens", "1000000",
        "--temperature", "2",
      ], in: scratch.folder)
    usleep(400_000)
    running.send(signal)
    let result = try running.wait()
    // The model may have come to an end of its own.
    #expect([0, 128 + signal].contains(result.status), "\(result.errors)")
    if result.status != 0 { #expect(result.messages == ["kiln: interrupted"]) }
  }
}

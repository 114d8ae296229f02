// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("perplexity")
struct PerplexityTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func measure(_ model: String, _ options: String...) throws -> [String: Any] {
    try expectSuccess(
      ["perplexity", model, "--text", "text.txt", "--json"] + options, in: scratch.folder
    ).json()
  }

  /// Rows of a token log: window, position, token, ln p.
  private func rows(_ name: String) throws -> [[Double]] {
    let lines = try String(contentsOf: scratch.url(name), encoding: .utf8).split(separator: "\n")
    #expect(lines.first == "window,position,token,logprob")
    return lines.dropFirst().map { line in line.split(separator: ",").compactMap { Double($0) } }
  }

  @Test("a context beyond the smaller of two lengths that a configuration gives is told")
  func longContext() throws {
    let scratch = try Scratch()
    try scratch.nano(changing: "config.json")
    try scratch.replace(
      #""model_max_length": 1048576"#,
      with: #""max_position_embeddings": 64, "model_max_length": 1048576"#, in: "model/config.json")
    try scratch.write(Fixture.text, to: "text.txt")
    let result = try expectSuccess(
      ["perplexity", "model", "--text", "text.txt", "--context", "128"], in: scratch.folder)
    #expect(
      result.warnings.contains { $0.contains("beyond the 64 tokens") }, "\(result.errors)")
  }

  @Test("one JSON document with the promised keys, and the same figures as text")
  func document() throws {
    let json = try measure(Fixture.nano.path, "--context", "64")
    for key in [
      "perplexity", "mean_nll", "standard_error", "tokens_scored", "tokens_per_second",
      "peak_memory_bytes", "tokens", "windows", "context", "seconds", "threads",
    ] {
      #expect(json[key] is NSNumber, "\(key)")
    }
    let perplexity = try #require(json["perplexity"] as? Double)
    let mean = try #require(json["mean_nll"] as? Double)
    #expect(abs(exp(mean) - perplexity) < 1e-9 * perplexity)
    let text = try expectSuccess(
      ["ppl", Fixture.nano.path, "--text", "-", "--context", "64"], input: Fixture.text
    ).text
    #expect(text.contains(String(format: "%.5f", perplexity)))
  }

  @Test(
    "the token log has the scored positions and their mean",
    arguments: [
      (["--context", "64"], 64, 64, 1),
      (["--context", "64", "--score", "second-half"], 64, 64, 32),
      (["--context", "64", "--stride", "16"], 64, 16, 1), (["--context", "4096"], 4096, 4096, 1),
      (["--context", "2"], 2, 2, 1), (["--context", "3", "--score", "second-half"], 3, 3, 1),
    ])
  func tokenLog(_ options: [String], _ context: Int, _ stride: Int, _ first: Int) throws {
    let json = try expectSuccess(
      ["perplexity", Fixture.nano.path, "--text", "text.txt", "--token-log", "log.csv", "--json"]
        + options, in: scratch.folder
    ).json()
    let ids = try expectSuccess(
      ["tokenize", Fixture.nano.path, "--text", "text.txt"], in: scratch.folder
    ).text.split(separator: " ").compactMap { Double($0.filter(\.isNumber)) }
    // What should be scored, told without windows: each token once, by its place in the text.
    var expected: [[Double]] = []
    var (start, window, scored) = (0, 0, 0)
    while scored < ids.count {
      let end = min(start + context, ids.count)
      let places = (max(scored, start + first)..<max(end, scored, start + first)).prefix {
        $0 < end
      }
      for place in places { expected.append([Double(window), Double(place - start), ids[place]]) }
      if !places.isEmpty { window += 1 }
      (scored, start) = (end, start + stride)
    }
    let rows = try rows("log.csv")
    #expect(rows.map { Array($0.prefix(3)) } == expected)
    #expect(json["tokens_scored"] as? Int == rows.count)
    let mean = -rows.reduce(0) { $0 + $1[3] } / Double(rows.count)
    #expect(abs(mean - (json["mean_nll"] as? Double ?? .nan)) < 1e-8)
  }

  @Test("the same digits with any number of threads and from any container")
  func digits() throws {
    var logs: [Data] = []
    for (model, threads) in [
      (Fixture.nano.path, "1"), (Fixture.nano.path, "2"), (Fixture.nano.path, "8"),
      (try Fixture.packed().path, "2"), (try Fixture.sharded().path, "2"),
    ] {
      _ = try measure(model, "--threads", threads, "--token-log", "log.csv", "--force")
      logs.append(try Data(contentsOf: scratch.url("log.csv")))
    }
    #expect(Set(logs).count == 1)
  }

  @Test("a quantized model and its dequantized folder agree")
  func dequantized() throws {
    try expectSuccess(["convert", Fixture.quantized().path, scratch.path("folder")])
    let packed = try measure(Fixture.quantized().path)
    let folder = try measure("folder")
    #expect(packed["mean_nll"] as? Double == folder["mean_nll"] as? Double)
  }

  @Test("--limit-tokens, recurrent and chunkwise kernels")
  func options() throws {
    let limited = try measure(Fixture.nano.path, "--limit-tokens", "100", "--context", "50")
    #expect(limited["tokens"] as? Int == 100)
    #expect(limited["tokens_scored"] as? Int == 98)
    let reference = try #require(
      try measure(Fixture.nano.path, "--kda", "recurrent")["mean_nll"] as? Double)
    for chunk in ["1", "7", "64", "1024"] {
      let mean = try measure(Fixture.nano.path, "--kda", "chunk", "--kda-chunk", chunk)["mean_nll"]
      #expect(abs((mean as? Double ?? .nan) - reference) < 1e-4)
    }
  }

  @Test("progress goes to standard error, and not at all when quiet")
  func progress() throws {
    let arguments = ["perplexity", Fixture.nano.path, "--text", "text.txt", "--context", "16"]
    for options in [["--progress", "plain"], ["--progress", "none"], ["-q"], []] {
      let result = try expectSuccess(arguments + options, in: scratch.folder)
      #expect(result.text.hasPrefix("perplexity"))
      #expect(result.errors.isEmpty || options == ["--progress", "plain"] || options.isEmpty)
      #expect(!result.errors.contains("\u{1B}"))
    }
  }

  @Test("golden log probabilities", .enabled(if: Fixture.hasShared, "needs the shared data"))
  func golden() throws {
    let file = try #require(Fixture.shared("golden/nano_logprobs.json"))
    let text = try #require(Fixture.shared("text/persuasion.txt"))
    let golden = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    for run in try #require(golden["runs"] as? [[String: Any]]) {
      let context = try #require(run["context"] as? Int)
      let scored = try #require(run["scored"] as? Int)
      let windows = try #require(run["windows"] as? [[String: Any]])
      try expectSuccess(
        ["perplexity", Fixture.nano.path, "--text", text.path, "--context", "\(context)"]
          + ["--limit-tokens", "\(scored + windows.count)", "--token-log", "log.csv", "--force"],
        in: scratch.folder)
      let expected = try windows.flatMap { try #require($0["logprobs"] as? [Double]) }
      let found = try rows("log.csv").map { $0[3] }
      #expect(found.count == expected.count)
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 2e-4 })
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The numbers of `perplexity --json` from its own log of tokens, and what a text must have to give any.
@Suite("figures of perplexity")
struct PerplexityFigureTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func words(_ options: [String]) -> [String] {
    ["perplexity", Fixture.nano.path, "--text", "text.txt", "--token-log", "log.csv"] + options
  }

  @Test(
    "every figure",
    arguments: [["--context", "64"], ["--context", "100", "--score", "second-half"]])
  func figures(options: [String]) throws {
    let json = try expectSuccess(words(options + ["--threads", "1", "--json"]), in: scratch.folder)
      .json()
    let losses = try String(contentsOf: scratch.url("log.csv"), encoding: .utf8)
      .split(separator: "\n").dropFirst().compactMap { line in
        line.split(separator: ",").last.flatMap { Double($0) }.map { -$0 }
      }
    let ids = try expectSuccess(
      ["tokenize", Fixture.nano.path, "--text", "text.txt", "--json"], in: scratch.folder
    ).json()
    let tokens = try #require(ids["token_count"] as? Int)
    #expect((ids["ids"] as? [Int])?.count == tokens)
    let context = try #require(Int(options[1]))
    // The last window of the second half is run only if it has tokens to score.
    let isHalf = options.count > 2
    let rest = tokens % context
    let hasRest = isHalf ? rest > context / 2 : rest > 1
    let windows = tokens / context + (hasRest ? 1 : 0)
    let unscored = isHalf ? context / 2 : 1
    let run = tokens - (hasRest ? 0 : rest)
    let count = Double(losses.count)
    let mean = losses.reduce(0, +) / count
    let squares = losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let standardError = (squares / (count - 1) / count).squareRoot()
    expectFigures(
      json,
      [
        "context": Double(context), "stride": Double(context), "windows": Double(windows),
        "tokens": Double(run), "tokens_scored": Double(run - windows * unscored), "threads": 1,
      ])
    #expect(losses.count == run - windows * unscored)
    expectFigures(
      json,
      [
        "mean_nll": mean, "mean_nll_standard_error": standardError, "perplexity": exp(mean),
        "standard_error": exp(mean) * standardError,
      ], within: 1e-8)
    let (seconds, rate) = (
      json["seconds"] as? Double ?? 0, json["tokens_per_second"] as? Double ?? 0
    )
    #expect(seconds > 0 && abs(rate * seconds - Double(run)) < 1e-6 * Double(run))
    // A model of ten megabytes fits no smaller memory.
    #expect(json["peak_memory_bytes"] as? Int ?? 0 > 10_481_808)
    #expect(json["text"] as? String == "text.txt" && json["model"] as? String == Fixture.nano.path)
    #expect(json["score"] as? String == (isHalf ? "second-half" : "all"))
  }

  @Test(
    "a text that is too short says how many tokens it needs",
    arguments: [
      (["--context", "64", "--score", "second-half"], 32, 33),
      (["--context", "65", "--score", "second-half"], 32, 33),
      (["--context", "2", "--score", "second-half"], nil, 2), (["--context", "64"], nil, 2),
    ] as [([String], Int?, Int)])
  func tooShort(options: [String], limit: Int?, needed: Int) throws {
    func limited(_ count: Int?) -> [String] { count.map { ["--limit-tokens", "\($0)"] } ?? [] }
    try scratch.write("a", to: "one.txt")
    let text = ["--text", limit == nil ? "one.txt" : "text.txt"]
    let arguments = ["perplexity", Fixture.nano.path] + text + options
    try expectFailure(
      arguments + limited(limit), Code.badData,
      naming: limit.map { "\($0) tokens, " } ?? "1 token, ",
      "expected at least \(needed)", in: scratch)
    // With so many there is exactly one token to score.
    let json = try expectSuccess(
      ["perplexity", Fixture.nano.path, "--text", "text.txt", "--json"] + options
        + limited(needed), in: scratch.folder
    ).json()
    #expect(json["tokens_scored"] as? Int == 1 && json["tokens"] as? Int == needed)
    #expect(json["standard_error"] as? String == "NaN")
  }
  @Test("figures of a generated text")
  func generated() throws {
    let prompt = String(Fixture.text.prefix(100))
    try scratch.write(prompt, to: "prompt.txt")
    let tokens =
      try expectSuccess(
        ["tokenize", Fixture.nano.path, "--text", "prompt.txt", "--json"], in: scratch.folder
      ).json()["token_count"] as? Int
    let json = try expectSuccess(
      [
        "generate", Fixture.nano.path, "--prompt-file", "prompt.txt", "--max-tokens", "7",
        "--quiet",
        "--temperature", "0.25", "--seed", "18446744073709551615", "--threads", "1", "--json",
      ], in: scratch.folder
    ).json()
    #expect(json["prompt_tokens"] as? Int == tokens)
    let ids = try #require(json["tokens"] as? [Int])
    #expect(json["generated_tokens"] as? Int == ids.count && ids.count <= 7)
    expectFigures(json, ["temperature": 0.25, "threads": 1])
    #expect(json["seed"] as? String == "18446744073709551615")
  }

  @Test("a text that ends at both limits at once has the length that was asked for")
  func bothLimits() throws {
    func ending(_ limits: String...) throws -> [String: Any] {
      try expectSuccess(
        ["generate", Fixture.nano.path, "--prompt", "e", "--json", "--quiet"] + limits
      ).json()
    }
    // The last token need not be run: a prompt of one token and two of three fill a context of three.
    let both = try ending("--max-tokens", "3", "--context-limit", "3")
    #expect(both["prompt_tokens"] as? Int == 1 && both["generated_tokens"] as? Int == 3)
    #expect(both["ended_by"] as? String == "max_tokens")
    let context = try ending("--max-tokens", "4", "--context-limit", "3")
    #expect(context["generated_tokens"] as? Int == 3)
    #expect(context["ended_by"] as? String == "context_limit")
  }
}

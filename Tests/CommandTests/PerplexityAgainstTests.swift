// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("perplexity --against")
struct PerplexityAgainstTests {
  private let scratch: Scratch
  private let model: String

  init() throws {
    scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
    try scratch.nano()
    model = try scratch.link(Fixture.quantized(), as: "int4.kiln")
  }

  /// The words of a comparison of the int4 model.
  private func words(_ base: String, _ options: String...) -> [String] {
    ["perplexity", model, "--text", "text.txt", "--context", "64", "--against", base] + options
  }

  private func measure(_ words: [String]) throws -> [String: Any] {
    try expectSuccess(words + ["--json"], in: scratch.folder).json()
  }

  private func comparison(_ json: [String: Any]) throws -> [String: Double] {
    try #require(json["comparison"] as? [String: Double])
  }

  /// All figures of some rows of a token log.
  private func figures(of rows: [[Double]]) -> [String: Double] {
    let count = Double(rows.count)
    func mean(_ value: ([Double]) -> Double) -> Double {
      rows.reduce(0) { $0 + value($1) } / count
    }
    func standardError(_ value: ([Double]) -> Double) -> Double {
      let mean = mean(value)
      let squares = rows.reduce(0) { $0 + (value($1) - mean) * (value($1) - mean) }
      return (squares / (count - 1) / count).squareRoot()
    }
    let sorted = rows.map { $0[5] }.sorted()
    func percentile(_ percent: Double) -> Double {
      let place = percent / 100 * (count - 1)
      let low = Int(place)
      return sorted[low] + (place - Double(low))
        * (sorted[min(low + 1, sorted.count - 1)] - sorted[low])
    }
    return [
      "tokens_scored": count, "kl_mean": mean { $0[5] },
      "kl_mean_standard_error": standardError { $0[5] }, "kl_p50": percentile(50),
      "kl_p90": percentile(90), "kl_p95": percentile(95), "kl_p99": percentile(99),
      "kl_p99_9": percentile(99.9), "kl_max": sorted.last ?? 0, "same_top": mean { $0[6] },
      "same_top_standard_error": standardError { $0[6] },
      "ln_perplexity_ratio": mean { $0[4] - $0[3] },
      "ln_perplexity_ratio_standard_error": standardError { $0[4] - $0[3] },
      "probability_change_mean": mean { exp($0[3]) - exp($0[4]) },
      "probability_change_mean_standard_error": standardError { exp($0[3]) - exp($0[4]) },
      "probability_change_rms": mean { pow(exp($0[3]) - exp($0[4]), 2) }.squareRoot(),
      "base_perplexity": exp(mean { -$0[4] }), "base_mean_nll": mean { -$0[4] },
      "base_mean_nll_standard_error": standardError { $0[4] }, "mean_nll": mean { -$0[3] },
      "mean_nll_standard_error": standardError { $0[3] },
    ]
  }

  @Test("every figure follows from the token log")
  func figures() throws {
    let json = try measure(words("model", "--token-log", "log.csv"))
    let found = try comparison(json)
    let lines = try String(contentsOf: scratch.url("log.csv"), encoding: .utf8)
      .split(separator: "\n")
    #expect(lines.first == "window,position,token,logprob,base_logprob,kl,same_top")
    let rows = lines.dropFirst().map { $0.split(separator: ",").compactMap { Double($0) } }
    let expected = figures(of: rows)
    #expect(Set(found.keys) == Set(expected.keys))
    for (key, value) in expected {
      #expect(abs((found[key] ?? .nan) - value) < 1e-7 * max(1, value), "\(key)")
    }
    #expect(rows.allSatisfy { $0[5] >= 0 } && expected["kl_max"] ?? 0 > 0.001)
    let alone = try measure(["perplexity", "model", "--text", "text.txt", "--context", "64"])
    #expect(abs((alone["mean_nll"] as? Double ?? .nan) - (found["base_mean_nll"] ?? 0)) < 1e-6)

    // The same by position, with the same keys.
    let parts = try #require(json["comparison_by_position"] as? [[String: Double]])
    #expect(parts.map { $0["first_position"] } == [0, 8, 16, 24, 32, 40, 48, 56])
    for part in parts {
      #expect(Set(part.keys) == Set(expected.keys).union(["first_position", "last_position"]))
      let range = try #require(part["first_position"])...(try #require(part["last_position"]))
      let mine = rows.filter { range.contains($0[1]) }
      for (key, value) in figures(of: mine) {
        let difference = abs((part[key] ?? .nan) - value)
        #expect(difference < 1e-7 * max(1, value), "\(key) of \(range)")
      }
    }
  }

  @Test("the text has the same figures")
  func text() throws {
    let found = try comparison(measure(words("model")))
    let text = try expectSuccess(words("model"), in: scratch.folder).text
    for (key, format) in [
      ("kl_mean", "KL divergence        %.7f"),
      ("ln_perplexity_ratio", "ln perplexity ratio  %.7f"),
      ("base_perplexity", "base perplexity      %.5f"),
    ] {
      #expect(text.contains(String(format: format, found[key] ?? .nan)), "\(key)\n\(text)")
    }
    #expect(text.contains("\n56–63 "))
  }

  @Test("a model is the same as itself, from any container")
  func itself() throws {
    try scratch.link(Fixture.packed(), as: "nano.kiln")
    let json = try measure(
      ["perplexity", "model", "--text", "text.txt", "--against", "nano.kiln"])
    let found = try comparison(json)
    for key in ["kl_mean", "kl_max", "ln_perplexity_ratio", "probability_change_rms"] {
      #expect(found[key] == 0, "\(key)")
    }
    #expect(found["same_top"] == 1)
  }

  @Test("a saved base gives the same figures to the last digit, with any number of threads")
  func savedBase() throws {
    try expectSuccess(
      ["perplexity", "model", "--text", "text.txt", "--context", "64", "--save-base", "a.base"],
      in: scratch.folder)
    let direct = try measure(words("model", "--save-base", "b.base", "--token-log", "direct.csv"))
    #expect(
      try Data(contentsOf: scratch.url("a.base")) == Data(contentsOf: scratch.url("b.base")))
    for threads in ["1", "2", "8"] {
      let saved = try measure(
        words("a.base", "--threads", threads, "--token-log", "saved.csv", "--force"))
      #expect(try comparison(saved) == comparison(direct))
      #expect(
        try Data(contentsOf: scratch.url("saved.csv"))
          == Data(contentsOf: scratch.url("direct.csv")))
    }
    for command in [["verify"], ["inspect"], ["inspect", "--stats"]] {
      try expectSuccess(command + ["a.base"], in: scratch.folder)
    }
    // The base may be gone by then.
    try FileManager.default.moveItem(at: scratch.url("model"), to: scratch.url("moved"))
    _ = try measure(words("a.base"))
  }

  @Test("a base that does not fit is refused")
  func refusals() throws {
    let save = ["perplexity", "model", "--text", "text.txt", "--save-base", "nano.base"]
    try expectSuccess(save + ["--context", "64"], in: scratch.folder)
    try scratch.write(Fixture.text.replacingOccurrences(of: "ok?", with: "no!"), to: "other.txt")
    let refused: [([String], Int32, String)] = [
      (words("nano.base", "--context", "32"), Code.badData, "--context"),
      (words("nano.base", "--score", "second-half"), Code.badData, "--score"),
      (words("nano.base", "--limit-tokens", "100"), Code.badData, "tokens"),
      (words("nano.base", "--text", "other.txt"), Code.badData, "nano.base"),
      (words("nano.base", "--save-base", "again.base"), Code.usage, "--save-base"),
      (words("missing"), Code.missingInput, "missing"),
      (words("text.txt"), Code.badData, "text.txt"),
      (["perplexity", "nano.base", "--text", "text.txt"], Code.badData, "nano.base"),
      (save, Code.cannotCreate, "nano.base"),
      (words("model", "--save-base", "x", "--token-log", "x"), Code.usage, "--save-base"),
      (words("nano.base", "--token-log", "nano.base", "--force"), Code.cannotCreate, "nano.base"),
      (words("model", "--save-base", "text.txt", "--force"), Code.cannotCreate, "text.txt"),
      (
        words("model", "--save-base", "model/model.safetensors", "--force"), Code.cannotCreate,
        "model.safetensors"
      ),
    ]
    for (words, code, name) in refused {
      try expectFailure(words, code, naming: name, in: scratch)
    }
    // The last byte is a hidden state.
    try scratch.edit("nano.base") { $0[$0.count - 1] ^= 1 }
    try expectFailure(words("nano.base"), Code.badData, naming: "hidden_states", in: scratch)
  }

  @Test("a base for which the text is other tokens is refused")
  func tokenizers() throws {
    try scratch.copy(Fixture.nano, as: "other", changing: ["tiktoken.model"])
    // Two tokens of the text change places.
    let ids = try expectSuccess(["tokenize", "model", "--text", "text.txt"], in: scratch.folder)
      .text.split(separator: " ").compactMap { Int($0) }
    let other = try #require(ids.first { $0 != ids[0] })
    var lines = try String(contentsOf: scratch.url("other/tiktoken.model"), encoding: .utf8)
      .split(separator: "\n").map { $0.split(separator: " ")[0] }
    lines.swapAt(ids[0], other)
    let text = lines.enumerated().map { "\($1) \($0)\n" }
    try scratch.write(text.joined(), to: "other/tiktoken.model")
    try expectFailure(words("other"), Code.badData, naming: "tokenizer", in: scratch)
    // Without one there is nothing to differ.
    try FileManager.default.removeItem(at: scratch.url("other/tiktoken.model"))
    try expectSuccess(words("other"), in: scratch.folder)
  }

  @Test("a base whose probabilities are no numbers is named")
  func notFinite() throws {
    try scratch.copy(Fixture.nano, as: "broken", changing: ["model.safetensors"])
    try scratch.edit("broken/model.safetensors") { bytes in
      // The last tensor is the final norm or the head: NaN in any of its elements.
      bytes[bytes.count - 1] = 0x7F
      bytes[bytes.count - 2] = 0xC0
    }
    try expectFailure(
      words("broken", "--token-log", "log.csv"), Code.badData, naming: "broken", in: scratch)
  }
}

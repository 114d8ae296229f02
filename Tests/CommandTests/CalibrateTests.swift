// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Texts to calibrate by, and calibrations that were saved.
@Suite("Calibrating", .serialized)
struct CalibrateTests {
  private let scratch: Scratch
  private let sampling = ["--calibration-context", "64", "--calibration-windows", "4"]
  private let save = ["calibrate", "model", "saved", "--calibration", "text.txt"]

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func quantize(_ output: String, _ calibration: String) -> [String] {
    [
      "quantize", "model", output, "--scheme", "int4-g32", "--method", "gptq", "--calibration",
      calibration,
    ]
  }

  @Test("a saved calibration gives the bytes that its text gives")
  func savedCalibration() throws {
    try expectSuccess(save + sampling, in: scratch.folder)
    try expectSuccess(
      ["calibrate", "model", "again", "--calibration", "text.txt", "--threads", "1"] + sampling,
      in: scratch.folder)
    #expect(
      try Data(contentsOf: scratch.url("saved")) == Data(contentsOf: scratch.url("again")))
    for command in ["verify", "inspect"] {
      try expectSuccess([command, "saved"], in: scratch.folder)
    }
    for scheme in [["--scheme", "int4-g32"], ["--target-bpw", "6"]] {
      for (output, calibration) in [("a.kiln", ["text.txt"] + sampling), ("b.kiln", ["saved"])] {
        try expectSuccess(
          ["quantize", "model", output, "--method", "gptq", "--force"] + scheme + ["--calibration"]
            + calibration, in: scratch.folder)
      }
      #expect(
        try Data(contentsOf: scratch.url("a.kiln")) == Data(contentsOf: scratch.url("b.kiln")))
    }
    // The same model in another container.
    try scratch.link(Fixture.packed(), as: "in.kiln")
    try expectSuccess(
      ["quantize", "in.kiln", "c.kiln", "--target-bpw", "6", "--calibration", "saved"],
      in: scratch.folder)
    // What parts lose was measured with another method.
    let again = try expectSuccess(
      ["quantize", "model", "d.kiln", "--target-bpw", "6", "--method", "search"]
        + ["--calibration", "saved"], in: scratch.folder)
    #expect(again.warnings.contains { $0.contains("measured again") })
  }

  @Test("a model or a saved base is named for what it is, whatever flags there are")
  func notCalibrations() throws {
    try scratch.link(Fixture.packed(), as: "other.kiln")
    try expectSuccess(
      ["perplexity", "model", "--text", "text.txt", "--save-base", "saved.base"], in: scratch.folder
    )
    for (name, kind) in [("other.kiln", "is a model"), ("saved.base", "is a saved base")] {
      for flags in [[], ["--calibration-windows", "2"]] {
        try expectFailure(
          quantize("x.kiln", name) + flags, Code.badData, naming: name, kind,
          "neither a text nor a saved calibration", in: scratch)
      }
    }
  }

  @Test("a saved calibration that does not fit is refused")
  func refusals() throws {
    try expectSuccess(save + sampling, in: scratch.folder)
    try expectFailure(save, Code.cannotCreate, naming: "saved", in: scratch)
    try expectFailure(
      ["calibrate", "model", "text.txt", "--calibration", "text.txt", "--force"],
      Code.cannotCreate, naming: "text.txt", in: scratch)
    try expectFailure(
      quantize("x", "saved") + ["--calibration-seed", "1"], Code.usage,
      naming: "--calibration-seed", in: scratch)
    try expectFailure(
      ["perplexity", "saved", "--text", "text.txt"], Code.badData,
      naming: "saved: is a saved calibration, not a model", in: scratch)
    try scratch.link(Fixture.packed(), as: "model.kiln")
    try expectFailure(
      quantize("x", "model.kiln"), Code.badData, naming: "model.kiln", in: scratch)

    // One weight of the model is another one: the first behind the header, whose length comes first.
    try scratch.copy(Fixture.nano, as: "other", changing: ["model.safetensors"])
    try scratch.edit("other/model.safetensors") { bytes in
      let header = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      bytes[bytes.startIndex + 8 + header] ^= 1
    }
    let other = ["quantize", "other"] + quantize("x", "saved").dropFirst(2)
    try expectFailure(other, Code.badData, naming: "another model", in: scratch)

    // Any byte of the end is one of a token, and any of the middle one of the description.
    for place in [1, 700] {
      try scratch.edit("saved") { $0[$0.count - place] ^= 1 }
      try expectFailure(quantize("x", "saved"), Code.badData, naming: "saved", in: scratch)
      try scratch.edit("saved") { $0[$0.count - place] ^= 1 }
    }
    try scratch.edit("saved") { $0.removeLast(100) }
    try expectFailure(quantize("x", "saved"), Code.badData, naming: "saved", in: scratch)
  }

  @Test("a text that leaves experts without tokens gives a sound model, and says so")
  func unseenExperts() throws {
    try scratch.write("The kiln", to: "tiny.txt")
    let result = try expectSuccess(quantize("x.kiln", "tiny.txt") + ["--json"], in: scratch.folder)
    // Both: few tokens, and a window shorter than any.
    #expect(result.warnings.count == 2, "\(result.errors)")
    let calibration = try #require(try result.json()["calibration"] as? [String: Any])
    let layers = try #require(calibration["experts"] as? [[String: Any]])
    #expect(layers.contains { ($0["tokens"] as? [Int])?.contains(0) == true })
    let shown = try expectSuccess(["inspect", "x.kiln"], in: scratch.folder)
    #expect(shown.text.contains("without any"))
    try expectSuccess(["verify", "x.kiln"], in: scratch.folder)
    let measured = try expectSuccess(
      ["perplexity", "x.kiln", "--text", "text.txt", "--json"], in: scratch.folder)
    let perplexity = try #require(try measured.json()["perplexity"] as? Double)
    #expect(perplexity.isFinite && perplexity > 1)
  }

  @Test("a text or windows of one token are refused, shorter ones than a window are told")
  func shortTexts() throws {
    try scratch.write("a", to: "one.txt")
    try scratch.write("", to: "empty.txt")
    for name in ["one.txt", "empty.txt"] {
      try expectFailure(quantize("x", name), Code.badData, naming: name, in: scratch)
    }
    try expectFailure(
      quantize("x", "text.txt") + ["--calibration-context", "1"], Code.usage,
      naming: "--calibration-context", in: scratch)
    // Shorter than a window of 512 tokens: it is one window.
    try scratch.write(String(repeating: "The kiln is hot. ", count: 20), to: "short.txt")
    let result = try expectSuccess(
      quantize("x.kiln", "short.txt") + ["--json"], in: scratch.folder)
    let calibration = try #require(try result.json()["calibration"] as? [String: Any])
    let sample = try #require(calibration["sample"] as? [String: Any])
    #expect(sample["windows"] as? Int == 1)
    #expect(sample["context"] as? Int == sample["tokens"] as? Int)
    #expect(result.warnings.contains { $0.contains("tokens to calibrate by") })
  }

  @Test("errors of weights and of outputs are told apart, by role and by tensor")
  func errors() throws {
    func document(_ flags: [String]) throws -> [String: Any] {
      try expectSuccess(
        ["quantize", "model", "x.kiln", "--scheme", "int4-g32", "--json", "--force"] + flags,
        in: scratch.folder
      ).json()
    }
    let calibrated = try document(["--method", "gptq", "--calibration", "text.txt"] + sampling)
    let plain = try document(["--method", "search"])
    for (document, isCalibrated) in [(calibrated, true), (plain, false)] {
      let tensors = try #require(document["tensors"] as? [[String: Any]])
      let expert = try #require(tensors.first { $0["role"] as? String == "shared_expert" })
      #expect((expert["weight_error"] as? Double ?? 0) > 0)
      #expect((expert["output_error"] is Double) == isCalibrated)
      let norm = try #require(tensors.first { $0["role"] as? String == "norm" })
      #expect(norm["weight_error"] is NSNull && norm["output_error"] is NSNull)
      let roles = try #require(document["roles"] as? [String: [String: Any]])
      #expect((roles["shared_expert"]?["output_error"] is Double) == isCalibrated)
      #expect(roles["embedding"]?["output_error"] is NSNull)
    }
    for (flags, title) in [
      (["--method", "gptq", "--calibration", "text.txt"] + sampling, "output error"),
      (["--method", "rtn"], "weight error"),
    ] {
      let shown = try expectSuccess(
        ["quantize", "model", "x.kiln", "--scheme", "int4-g32", "--force"] + flags,
        in: scratch.folder)
      #expect(shown.text.contains(title) && !shown.text.contains("relative error  "))
    }
  }

  @Test(
    "a search that weighs errors by a text is a rounding as well",
    arguments: ["int8-g32", "int4-g128"])
  func weightedSearch(_ scheme: String) throws {
    // Its scales clip more than round-to-nearest does.
    try expectSuccess(
      [
        "quantize", "model", "x.kiln", "--scheme", scheme, "--method", "search", "--calibration",
        "text.txt",
      ], in: scratch.folder)
    let verify = ["verify", "x.kiln", "--against", "model", "--require", "bound", "--json"]
    let document = try expectSuccess(verify, in: scratch.folder).json()
    #expect(document["verdict"] as? String == "bound")
  }

  @Test("inspect shows the errors that a file stores, and orders by them")
  func storedErrors() throws {
    let written = try expectSuccess(quantize("x.kiln", "text.txt") + ["--json"], in: scratch.folder)
      .json()
    let told = try #require(written["tensors"] as? [[String: Any]])
    let errors = Dictionary(
      uniqueKeysWithValues: told.compactMap { tensor in
        (tensor["output_error"] as? Double).map { (tensor["name"] as? String ?? "", $0) }
      })
    #expect(errors.count > 10)
    let command = ["inspect", "x.kiln", "--sort", "output_error", "--limit", "\(errors.count)"]
    let shown = try expectSuccess(command, in: scratch.folder).text
    #expect(shown.contains("weight error") && shown.contains("output error"))
    let listed = try #require(
      try expectSuccess(command + ["--json"], in: scratch.folder).json()["tensors"]
        as? [[String: Any]])
    let found = listed.compactMap { $0["output_error"] as? Double }
    #expect(found.count == errors.count && found == found.sorted(by: >))
    for tensor in listed {
      let name = try #require(tensor["name"] as? String)
      #expect(tensor["output_error"] as? Double == errors[name], "\(name)")
    }
    // A checkpoint stores none: no empty columns.
    let plain = try expectSuccess(["inspect", "model", "--tensors"], in: scratch.folder).text
    #expect(!plain.contains("weight error"))
  }

  @Test("files that compression does not make smaller are quantized again")
  func compression() throws {
    // Found by reading: matrices were fetched a second time from a calibration that had handed them out.
    let command =
      ["quantize", "model", "OUT", "--method", "gptq", "--calibration", "text.txt"] + sampling
      + ["--scheme", "int5-g128", "--set", "embedding=int5-g128", "--shard-size", "200KB"]
    func run(_ output: String, _ more: [String] = []) throws {
      try expectSuccess(command.map { $0 == "OUT" ? output : $0 } + more, in: scratch.folder)
    }
    try run("plain")
    try run("compressed", ["--compress", "zstd:1"])
    try expectSuccess(["verify", "compressed"], in: scratch.folder)
    try expectSuccess(["verify", "compressed", "--against", "plain"], in: scratch.folder)
  }

  @Test("shards say by which text they were calibrated")
  func shards() throws {
    try expectSuccess(
      quantize("shards", "text.txt") + ["--shard-size", "1MB"] + sampling, in: scratch.folder)
    let shown = try expectSuccess(["inspect", "shards", "--json"], in: scratch.folder)
    let calibration = try #require(try shown.json()["calibration"] as? [String: Any])
    #expect(calibration["text_checksum"] is String && calibration["sample"] is [String: Any])
    try expectSuccess(["verify", "shards"], in: scratch.folder)
  }
}

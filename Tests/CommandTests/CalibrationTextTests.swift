// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Models that are measured on the text that they were calibrated by.
@Suite("Measuring on the calibration text")
struct CalibrationTextTests {
  private let scratch: Scratch
  private let other = String(repeating: "Another text, about bread and water.\n", count: 30)

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
    try scratch.write(other, to: "other.txt")
    try expectSuccess(
      [
        "quantize", "model", "x.kiln", "--scheme", "int4-g32", "--method", "search",
        "--calibration", "text.txt", "--calibration-context", "32",
      ], in: scratch.folder)
  }

  private func measure(
    _ model: String, _ text: String, _ more: [String] = [], input: String = ""
  ) throws -> Tool.Result {
    try expectSuccess(
      ["perplexity", model, "--text", text, "--context", "64"] + more, input: input,
      in: scratch.folder)
  }

  private func told(_ result: Tool.Result) -> [String] {
    result.warnings.filter { $0.contains("calibrated by this text") }
  }

  @Test("it is told, however the text comes")
  func sameText() throws {
    #expect(try told(measure("x.kiln", "text.txt")).count == 1)
    #expect(try told(measure("x.kiln", "text.txt", ["--limit-tokens", "100"])).count == 1)
    #expect(try told(measure("x.kiln", "-", input: Fixture.text)).count == 1)
    let document = try measure("x.kiln", "text.txt", ["--json"]).json()
    #expect(document["calibration_text"] as? Bool == true)
    // A table that is kept says it as well.
    let note = "the model was calibrated by this text"
    #expect(try measure("x.kiln", "text.txt", ["--quiet"]).text.contains(note))
    #expect(try !measure("x.kiln", "other.txt", ["--quiet"]).text.contains(note))
    // The whole of the other was used, and this one goes on.
    try scratch.write(Fixture.text + other, to: "longer.txt")
    #expect(try told(measure("x.kiln", "longer.txt")).count == 1)
    try expectSuccess(
      ["convert", "x.kiln", "shards.kiln", "--shard-size", "2MB"], in: scratch.folder)
    #expect(try told(measure("shards.kiln", "text.txt")).count == 1)
  }

  @Test("it is told as long as codes are those of the calibration")
  func copiedCodes() throws {
    func errors(_ model: String) throws -> [String: Double] {
      let document = try expectSuccess(
        ["inspect", model, "--tensors", "--json"], in: scratch.folder
      ).json()
      let tensors = try #require(document["tensors"] as? [[String: Any]])
      return Dictionary(
        uniqueKeysWithValues: tensors.compactMap { tensor in
          (tensor["output_error"] as? Double).map { (tensor["name"] as? String ?? "", $0) }
        })
    }
    let measured = try errors("x.kiln")
    #expect(!measured.isEmpty)
    let rounding: [[String]] = [
      ["quantize", "x.kiln", "y.kiln", "--scheme", "int4-g32"],
      // There is nothing left for it to round.
      [
        "quantize", "x.kiln", "y.kiln", "--scheme", "int4-g32", "--method", "gptq",
        "--calibration", "other.txt",
      ],
      ["convert", "x.kiln", "y.kiln"],
    ]
    for command in rounding {
      try expectSuccess(command + ["--force"], in: scratch.folder)
      #expect(try told(measure("y.kiln", "text.txt")).count == 1, "\(command)")
      #expect(try told(measure("y.kiln", "other.txt")).isEmpty, "\(command)")
      #expect(try errors("y.kiln") == measured, "\(command)")
    }
    // Where a new text has rounded the rest, it is the one that is named; what was copied keeps its errors.
    try expectSuccess(
      [
        "quantize", "model", "part.kiln", "--scheme", "int4-g32", "--set", "head=bf16",
        "--method", "search", "--calibration", "text.txt", "--calibration-context", "32",
      ], in: scratch.folder)
    try expectSuccess(
      [
        "quantize", "part.kiln", "y.kiln", "--scheme", "int4-g32", "--method", "search",
        "--calibration", "other.txt", "--calibration-context", "32", "--force",
      ], in: scratch.folder)
    #expect(try told(measure("y.kiln", "other.txt")).count == 1)
    let (before, after) = (try errors("part.kiln"), try errors("y.kiln"))
    #expect(before["lm_head.weight"] == nil && after["lm_head.weight"] != nil)
    for (name, error) in before { #expect(after[name] == error, "\(name)") }
  }

  @Test("codes that were chosen by error feedback are within their bound in a copy, too")
  func copiedErrorFeedback() throws {
    try expectSuccess(
      [
        "quantize", "model", "g.kiln", "--scheme", "int4-g32", "--method", "gptq",
        "--calibration", "text.txt", "--calibration-context", "32",
      ], in: scratch.folder)
    try expectSuccess(["quantize", "g.kiln", "y.kiln", "--scheme", "int4-g32"], in: scratch.folder)
    try expectSuccess(["quantize", "y.kiln", "z.kiln", "--scheme", "int4-g32"], in: scratch.folder)
    for model in ["g.kiln", "y.kiln", "z.kiln"] {
      try expectSuccess(
        ["verify", model, "--against", "model", "--require", "bound"], in: scratch.folder)
    }
  }

  @Test("a text by which nothing is rounded is not run")
  func nothingToRound() throws {
    let result = try expectSuccess(
      [
        "quantize", "model", "y.kiln", "--scheme", "bf16", "--method", "gptq", "--calibration",
        "text.txt", "--json",
      ], in: scratch.folder)
    #expect(result.warnings.contains { $0.contains("no tensor is rounded by it") })
    #expect(!result.errors.contains("0 of 0") && !result.errors.contains("calibrate:"))
    #expect(try result.json()["calibration"] is NSNull)
  }

  @Test("it is not told of another text or another model")
  func otherText() throws {
    #expect(try told(measure("x.kiln", "other.txt")).isEmpty)
    #expect(try told(measure("x.kiln", "-", input: "x" + Fixture.text)).isEmpty)
    #expect(try told(measure("model", "text.txt")).isEmpty)
    let document = try measure("model", "text.txt", ["--against", "x.kiln", "--json"]).json()
    #expect(document["calibration_text"] as? Bool == false)
    #expect(document["against_calibration_text"] as? Bool == true)
  }

  @Test("it is told of a base, saved or not")
  func base() throws {
    let both = try told(measure("x.kiln", "text.txt", ["--against", "x.kiln"]))
    #expect(both.count == 2)
    let base = try told(measure("model", "text.txt", ["--against", "x.kiln"]))
    #expect(base.count == 1 && base[0].contains("x.kiln"))
    #expect(
      try told(measure("x.kiln", "text.txt", ["--save-base", "x.base"])).count == 1)
    let saved = try told(measure("model", "text.txt", ["--against", "x.base"]))
    #expect(saved.count == 1 && saved[0].contains("x.base"))
    #expect(try told(measure("model", "text.txt", ["--save-base", "model.base"])).isEmpty)
    #expect(try told(measure("model", "text.txt", ["--against", "model.base"])).isEmpty)
  }

  @Test("a header that says nonsense about its text is no reason to fail")
  func nonsense() throws {
    try PackedFile.replaceInHeader(
      scratch.url("x.kiln"), #""context":32"#, with: #""context":-1"#)
    #expect(try told(measure("x.kiln", "text.txt")).isEmpty)
  }
}

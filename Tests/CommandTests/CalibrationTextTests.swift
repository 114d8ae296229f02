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

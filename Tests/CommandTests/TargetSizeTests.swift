// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Sizes that are asked for: what cannot be reached is refused before anything is measured.
@Suite("Sizes that are asked for")
struct TargetSizeTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func quantize(_ size: String, _ more: [String] = []) -> [String] {
    ["quantize", "model", "x.kiln", "--target-bpw=\(size)", "--calibration", "text.txt"] + more
  }
  private let few = ["--calibration-context", "32", "--calibration-windows", "2"]

  @Test("a size below or above all schemes is refused with those that can be reached")
  func unreachable() throws {
    let low = try expectFailure(
      quantize("3"), Code.usage, naming: "3 bits per weight", "the smallest schemes give",
      in: scratch)
    // Nothing was run: there is no progress of it.
    #expect(!low.errors.contains("sensitivity"))
    try expectFailure(quantize("20"), Code.usage, naming: "largest scheme gives", in: scratch)
    let range = try #require(low.messages.first?.split(separator: " ").compactMap { Double($0) })
    let (smallest, largest) = try #require(
      range.count >= 2 ? (range[range.count - 2], range[range.count - 1]) : nil)
    #expect(smallest > 4 && smallest < 6 && largest > 15 && largest < 17)
    // The smallest that is named can be had.
    let result = try expectSuccess(
      quantize("\(smallest)", few + ["--dry-run", "--json"]), in: scratch.folder)
    let bits = try #require(try result.json()["bits_per_weight"] as? Double)
    #expect(bits <= smallest && bits > smallest - 0.01)
    try expectFailure(
      quantize("\(smallest - 0.002)"), Code.usage, naming: "smallest schemes", in: scratch)
  }

  @Test(
    "sizes that are no sizes are refused",
    arguments: ["nan", "-1", "0", "inf", "1e999", "four", ""])
  func nonsense(size: String) throws {
    let result = try Tool.run(quantize(size), in: scratch.folder)
    #expect(result.status == Code.usage, "\(result.errors)")
    #expect(result.errors.contains("target-bpw"))
    #expect(try !scratch.listing().contains("x.kiln"))
  }

  @Test("other parts are chosen around schemes that are given")
  func overrides() throws {
    let result = try expectSuccess(
      quantize("7", few + ["--set", "head=bf16", "--dry-run", "--json", "--strict"]),
      in: scratch.folder)
    let document = try result.json()
    let bits = try #require(document["bits_per_weight"] as? Double)
    #expect(bits <= 7 && bits > 6.5)
    let tensors = try #require(document["tensors"] as? [[String: Any]])
    let head = try #require(tensors.first { $0["role"] as? String == "head" })
    #expect(head["encoding"] as? String == "bf16")
    #expect(result.warnings.allSatisfy { !$0.contains("--set") }, "\(result.errors)")
    // What is given takes room: less can be reached.
    try expectFailure(
      quantize("5.2", ["--set", "routed_expert=bf16"]), Code.usage, naming: "smallest schemes",
      in: scratch)
  }

  @Test("what cannot be written is refused before anything is measured")
  func early() throws {
    try scratch.write("there", to: "x.kiln")
    let refused = try expectFailure(
      quantize("6"), Code.cannotCreate, naming: "x.kiln", in: scratch)
    #expect(!refused.errors.contains("sensitivity"))
    try FileManager.default.removeItem(at: scratch.url("x.kiln"))
    for flags in [["--set", "norm=int4-g32"], ["--set", "tail=bf16"], ["--set", "head=int3"]] {
      let result = try expectFailure(
        quantize("6", flags), Code.usage, naming: "--set", in: scratch)
      #expect(!result.errors.contains("sensitivity"))
    }
  }

  @Test("a model whose matrices are quantized already has nothing to choose or to measure")
  func alreadyQuantized() throws {
    try scratch.link(Fixture.quantized(), as: "model.kiln")
    let model = ["model.kiln"] + quantize("6").dropFirst(2)
    try expectFailure(["quantize"] + model, Code.badData, naming: "already", in: scratch)
    try expectFailure(
      ["calibrate", "model.kiln", "saved", "--calibration", "text.txt"], Code.badData,
      naming: "already", in: scratch)
  }
}

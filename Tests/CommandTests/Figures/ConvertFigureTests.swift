// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The numbers of `convert`, `tokenize`, `calibrate` and `quantize --target-bpw`, from files and by counting.
@Suite("figures of convert, tokenize, calibrate and an allocation")
struct ConvertFigureTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func run(_ arguments: [String]) throws -> [String: Any] {
    try expectSuccess(arguments + ["--json"], in: scratch.folder).json()
  }

  private func size(_ name: String) throws -> Double {
    Double(try Data(contentsOf: scratch.url(name)).count)
  }

  @Test("convert: tensors, files and bytes")
  func converted() throws {
    let whole = try run(["convert", "model", "out.kiln"])
    expectFigures(
      whole,
      [
        "tensors": 151, "files": 1, "resumed_tensors": 0, "bytes": try size("out.kiln"),
      ])
    let plan = try run(["convert", "model", "out.kiln", "--dry-run", "--force"])
    expectFigures(plan, ["tensors": 151, "files": 1, "bytes": try size("out.kiln")])
    #expect(plan["dry_run"] as? Bool == true && whole["dry_run"] as? Bool == false)
    let shards = try run(["convert", "model", "shards", "--shard-size", "3MB"])
    let names = try scratch.listing().filter { $0.hasPrefix("shards/") }
    let bytes = try names.reduce(0) { try $0 + size($1) }
    expectFigures(
      shards, ["tensors": 151, "files": Double(names.count), "bytes": bytes])
    #expect(names.count > 3)
    // An export has the bytes of the tensors, and a header in front of them.
    let export = try run(["convert", "out.kiln", "export"])
    expectFigures(export, ["tensors": 151, "files": 1])
    let weights = try NanoWeights().tensors.reduce(0) { $0 + $1.byteCount }
    let exported = try #require(export["bytes"] as? Int)
    #expect((weights...weights + 40_000).contains(exported))
  }

  @Test("tokenize: as many ids as it says, and their text is the text")
  func tokens() throws {
    let json = try run(["tokenize", "model", "--text", "text.txt"])
    let ids = try #require(json["ids"] as? [Int])
    expectFigures(json, ["token_count": Double(ids.count)])
    try scratch.write(ids.map(String.init).joined(separator: " "), to: "ids.txt")
    let text = try expectSuccess(
      ["tokenize", "model", "--text", "ids.txt", "--decode"], in: scratch.folder)
    #expect(text.text == Fixture.text)
  }

  @Test("calibrate: what the sample is, and where its tokens went")
  func calibrated() throws {
    let json = try run([
      "calibrate", "model", "saved", "--calibration", "text.txt", "--calibration-windows", "3",
      "--calibration-context", "96",
    ])
    expectFigures(json, ["file_bytes": try size("saved")])
    let calibration = try #require(json["calibration"] as? [String: Any])
    expectFigures(calibration, ["text_bytes": Double(Fixture.text.utf8.count)])
    expectFigures(calibration["sample"], ["windows": 3, "context": 96, "tokens": 288])
    let layers = try #require(calibration["experts"] as? [[String: Any]])
    #expect(layers.compactMap { $0["layer"] as? Int } == [1, 2, 3])
    for layer in layers {
      let tokens = try #require(layer["tokens"] as? [Int])
      // Every token goes to 2 of 8 experts.
      #expect(tokens.count == 8 && tokens.reduce(0, +) == 2 * 288)
      #expect(tokens.allSatisfy { (0...288).contains($0) })
      // An expert wants as many tokens as its inputs have numbers.
      #expect(layer["scarce_below"] as? Int == 256)
    }
    // Embedding and head; of each attention and each feed-forward network the outputs apart from the rest, and of
    // those with experts the shared one as well.
    let parts = try #require(json["sensitivities"] as? [[String: Any]])
    #expect(parts.count == 24)
    #expect(parts.allSatisfy { $0["measured_kl"] is Double })
  }

  @Test("an allocation: bytes of every part, and no more bits than were asked for")
  func allocated() throws {
    let json = try run([
      "quantize", "model", "out.kiln", "--target-bpw", "5.5", "--calibration", "text.txt",
      "--calibration-windows", "2", "--calibration-context", "64",
    ])
    let weights = try NanoWeights()
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    /// Bytes and parameters of each role in each layer.
    var parts: [String: (bytes: Int, parameters: Int)] = [:]
    var total = 0
    for tensor in weights.tensors {
      let found = try #require(tensors.first { $0["name"] as? String == tensor.name })
      let encoding = try #require(found["encoding"] as? String)
      let bytes = Self.byteCount(of: tensor, as: encoding)
      #expect(found["bytes"] as? Int == bytes, "\(tensor.name) as \(encoding)")
      total += bytes
      let role = NanoWeights.role(tensor.name)
      guard QuantizedNano.bits(ofRole: role) != nil else { continue }
      let layer = tensor.name.split(separator: ".").compactMap { Int($0) }.first
      let place = "\(role) \(layer ?? -1)"
      let part = parts[place] ?? (0, 0)
      parts[place] = (part.bytes + bytes, part.parameters + tensor.values.count)
    }
    let parameters = weights.tensors.reduce(0) { $0 + $1.values.count }
    expectFigures(
      json,
      [
        "tensor_bytes": Double(total), "parameters": Double(parameters),
        "bits_per_weight": Double(total) * 8 / Double(parameters),
      ])
    #expect(Double(total) * 8 <= 5.5 * Double(parameters))
    var found: [String: (bytes: Int, parameters: Int)] = [:]
    for row in try #require(json["allocation"] as? [[String: Any]]) {
      let place = "\(row["role"] ?? "") \(row["layer"] as? Int ?? -1)"
      let part = found[place] ?? (0, 0)
      found[place] = (
        part.bytes + (row["bytes"] as? Int ?? 0), part.parameters + (row["parameters"] as? Int ?? 0)
      )
    }
    #expect(Set(found.keys) == Set(parts.keys))
    for (place, part) in parts {
      #expect(found[place]?.bytes == part.bytes, "\(place)")
      #expect(found[place]?.parameters == part.parameters, "\(place)")
    }
  }

  /// Codes, and two bytes for the scale of each group.
  private static func byteCount(of tensor: NanoWeights.Tensor, as encoding: String) -> Int {
    let parts = encoding.split(separator: "-")
    guard parts.count == 2, let bits = Int(parts[0].dropFirst(3)) else { return tensor.byteCount }
    let columns = tensor.shape.last ?? 1
    let group = parts[1] == "row" ? columns : Int(parts[1].dropFirst()) ?? 1
    return tensor.values.count * bits / 8 + tensor.values.count / group * 2
  }
}

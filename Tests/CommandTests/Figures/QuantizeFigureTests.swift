// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// What `--scheme int4-g32` makes of nano.
enum QuantizedNano {
  /// Bits of the codes of a role; nil for what is never quantized.
  static func bits(ofRole role: String) -> Int? {
    switch role {
    case "kda_projection", "routed_expert", "shared_expert", "dense_mlp": 4
    case "embedding", "head", "mla_projection": 8
    default: nil
    }
  }
}

/// The numbers of `quantize --json` and of `verify --json` about what was written, recomputed from the weights.
@Suite("figures of quantize and verify")
struct QuantizeFigureTests {
  private let scratch: Scratch
  private let weights: NanoWeights

  init() throws {
    scratch = try Scratch()
    weights = try NanoWeights()
  }

  private func quantize(_ options: String...) throws -> [String: Any] {
    try expectSuccess(
      ["quantize", Fixture.nano.path, "out.kiln", "--scheme", "int4-g32", "--json"] + options,
      in: scratch.folder
    ).json()
  }

  /// Sizes and errors of the tensors of one role.
  private struct Part {
    var tensors = 0
    var parameters = 0
    var bytes = 0
    var squaredError = 0.0
    var squaredNorm = 0.0

    /// Norm of the error over norm of the weights; nil where nothing was rounded.
    var relativeError: Double? {
      squaredNorm > 0 ? (squaredError / squaredNorm).squareRoot() : nil
    }
  }

  /// Adds a tensor to a part, and gives what becomes of it.
  @discardableResult
  private func add(
    _ tensor: NanoWeights.Tensor, to part: inout Part
  ) -> NanoWeights.Tensor.Rounded? {
    part.tensors += 1
    part.parameters += tensor.values.count
    guard let bits = QuantizedNano.bits(ofRole: NanoWeights.role(tensor.name)) else {
      part.bytes += tensor.byteCount
      return nil
    }
    part.bytes += tensor.values.count * bits / 8 + tensor.values.count / 16
    let rounded = tensor.rounded(bits: bits)
    part.squaredError += rounded.squaredError
    part.squaredNorm += rounded.squaredNorm
    return rounded
  }

  @Test("sizes and errors by role, by tensor and in all")
  func quantized() throws {
    let json = try quantize()
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.count == weights.tensors.count)
    var total = Part()
    var parts: [String: Part] = [:]
    for tensor in weights.tensors {
      let role = NanoWeights.role(tensor.name)
      var alone = Part()
      add(tensor, to: &alone)
      add(tensor, to: &parts[role, default: Part()])
      add(tensor, to: &total)
      let found = try #require(tensors.first { $0["name"] as? String == tensor.name })
      expectFigures(
        found, ["bytes": Double(alone.bytes), "nan_count": 0, "inf_count": 0], tensor.name)
      let error = found["relative_error"] as? Double
      #expect((error == nil) == (alone.relativeError == nil), "\(tensor.name)")
      if let error, let expected = alone.relativeError {
        #expect(abs(error - expected) < 1e-9 * expected, "\(tensor.name)")
      }
    }
    let roles = try #require(json["roles"] as? [String: [String: Any]])
    #expect(Set(roles.keys) == Set(parts.keys))
    for (name, part) in parts {
      var expected = [
        "tensors": Double(part.tensors), "parameters": Double(part.parameters),
        "bytes": Double(part.bytes),
        "bits_per_weight": Double(part.bytes) * 8 / Double(part.parameters),
      ]
      expected["relative_error"] = part.relativeError
      expectFigures(roles[name], expected, within: 1e-9, name)
      let encoding =
        QuantizedNano.bits(ofRole: name).map { "int\($0)-g32" }
        ?? (["kda_parameter", "router_bias"].contains(name) ? "f32" : "bf16")
      #expect(roles[name]?["encodings"] as? [String: Int] == [encoding: part.tensors])
    }
    let size = try Data(contentsOf: scratch.url("out.kiln")).count
    let figures = [
      "file_bytes": Double(size), "files": 1, "tensor_bytes": Double(total.bytes),
      "source_bytes": Double(weights.tensors.reduce(0) { $0 + $1.byteCount }),
      "parameters": Double(total.parameters), "resumed_tensors": 0,
      "bits_per_weight": Double(total.bytes) * 8 / Double(total.parameters),
    ]
    expectFigures(json, figures)
    expectFigures(json, ["relative_error": total.relativeError ?? .nan], within: 1e-9)
    // The plan has the same sizes, and no errors yet.
    let plan = try quantize("--dry-run", "--force")
    expectFigures(plan, figures)
    #expect(plan["relative_error"] is NSNull && plan["dry_run"] as? Bool == true)
  }

  @Test("verify: what was read")
  func sound() throws {
    let json = try expectSuccess(["verify", Fixture.quantized().path, "--json"]).json()
    var total = Part()
    for tensor in weights.tensors { add(tensor, to: &total) }
    expectFigures(json, ["tensors": 151, "bytes": Double(total.bytes)])
    #expect(json["sound"] as? Bool == true && (json["findings"] as? [Any])?.isEmpty == true)
  }

  @Test("verify --against: distances of every tensor")
  func compared() throws {
    let json = try expectSuccess(
      [
        "verify", Fixture.quantized().path, "--against", Fixture.nano.path, "--json", "--require",
        "bound",
      ]
    ).json()
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(tensors.count == weights.tensors.count)
    var counts = ["identical": 0, "within_bound": 0]
    for tensor in weights.tensors {
      let found = try #require(tensors.first { $0["name"] as? String == tensor.name })
      var ignored = Part()
      let rounded = add(tensor, to: &ignored)
      counts[rounded == nil ? "identical" : "within_bound", default: 0] += 1
      expectFigures(
        found,
        [
          "unequal_count": Double(rounded?.unequalCount ?? 0), "differing_count": 0,
          "replaced_count": 0, "max_error": rounded?.largestError ?? 0,
        ], within: 0, tensor.name)
      let ratio = found["bound_ratio"] as? Double ?? .nan
      #expect(rounded == nil ? ratio == 0 : (0.9...1).contains(ratio), "\(tensor.name): \(ratio)")
      #expect(found["shape"] as? [Int] == tensor.shape && found["first_difference"] is NSNull)
      if let place = rounded?.largestErrorPlace {
        let columns = tensor.shape[1]
        #expect(found["max_error_at"] as? [Int] == [place / columns, place % columns])
      }
    }
    for (verdict, count) in try #require(json["counts"] as? [String: Int]) {
      #expect(count == counts[verdict] ?? 0, "\(verdict)")
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Every number that `inspect --json` says of nano, from its file and its configuration.
@Suite("figures of inspect")
struct InspectFigureTests {
  private let weights: NanoWeights

  init() throws {
    weights = try NanoWeights()
  }

  @Test("sizes of the model")
  func sizes() throws {
    let file = Fixture.nano.appendingPathComponent("model.safetensors")
    let json = try expectSuccess(["inspect", Fixture.nano.path, "--json"]).json()
    let parameters = weights.tensors.reduce(0) { $0 + $1.values.count }
    let bytes = weights.tensors.reduce(0) { $0 + $1.byteCount }
    // A token reads one row of the embedding, and goes through 2 of 8 experts of a layer.
    let active = weights.tensors.reduce(0) { sum, tensor in
      switch NanoWeights.role(tensor.name) {
      case "embedding": sum + 256
      case "routed_expert": sum + tensor.values.count * 2 / 8
      default: sum + tensor.values.count
      }
    }
    expectFigures(
      json,
      [
        "files": 1, "file_bytes": Double(try Data(contentsOf: file).count),
        "layers": 4, "kda_layers": 3, "mla_layers": 1, "moe_layers": 3, "hidden_size": 256,
        "vocabulary_size": 2048, "experts": 8, "experts_per_token": 2, "shared_experts": 1,
        "tensor_count": Double(weights.tensors.count), "parameters": Double(parameters),
        "active_parameters": Double(active), "tensor_bytes": Double(bytes),
        "bits_per_weight": Double(bytes) * 8 / Double(parameters),
        // One layer keeps a latent of 64 and a shared key of 32 for each token, in float32.
        "cache_numbers_per_token": 96, "cache_bytes_per_token": 384,
        // Three layers keep 4 heads of 64 x 64, and the last 3 inputs of 3 convolutions of 256 channels.
        "state_bytes_per_sequence": Double(3 * (4 * 64 * 64 + 3 * 3 * 256) * 4),
      ])
  }

  @Test("sizes by role and by encoding", arguments: [false, true])
  func parts(isQuantized: Bool) throws {
    let path = isQuantized ? try Fixture.quantized().path : Fixture.nano.path
    let json = try expectSuccess(["inspect", path, "--json"]).json()
    var roles: [String: (tensors: Int, parameters: Int, bytes: Int)] = [:]
    var encodings = roles
    func add(
      _ tensor: NanoWeights.Tensor, _ bytes: Int,
      to part: inout (tensors: Int, parameters: Int, bytes: Int)
    ) {
      part = (part.tensors + 1, part.parameters + tensor.values.count, part.bytes + bytes)
    }
    for tensor in weights.tensors {
      let role = NanoWeights.role(tensor.name)
      let bits = isQuantized ? QuantizedNano.bits(ofRole: role) : nil
      // Codes, and two bytes for each group of 32.
      let bytes = bits.map { tensor.values.count * $0 / 8 + tensor.values.count / 16 }
      let encoding = bits.map { "int\($0)-g32" } ?? tensor.dtype.lowercased()
      add(tensor, bytes ?? tensor.byteCount, to: &roles[role, default: (0, 0, 0)])
      add(tensor, bytes ?? tensor.byteCount, to: &encodings[encoding, default: (0, 0, 0)])
    }
    let total = roles.values.reduce(0) { $0 + $1.bytes }
    #expect(json["tensor_bytes"] as? Int == total)
    for (key, parts) in [("roles", roles), ("encodings", encodings)] {
      let found = try #require(json[key] as? [String: Any])
      #expect(Set(found.keys) == Set(parts.keys))
      for (name, part) in parts {
        var expected = [
          "tensors": Double(part.tensors), "parameters": Double(part.parameters),
          "bytes": Double(part.bytes),
        ]
        if key == "roles" {
          expected["share"] = Double(part.bytes) / Double(total)
          expected["bits_per_weight"] = Double(part.bytes) * 8 / Double(part.parameters)
        }
        expectFigures(found[name], expected, "\(key), \(name):")
      }
    }
  }

  @Test("statistics of every tensor")
  func statistics() throws {
    let json = try expectSuccess(["inspect", Fixture.nano.path, "--stats", "--json"]).json()
    let listed = try #require(json["tensors"] as? [[String: Any]])
    #expect(listed.count == weights.tensors.count)
    for tensor in weights.tensors {
      let found = try #require(listed.first { $0["name"] as? String == tensor.name })
      #expect(found["shape"] as? [Int] == tensor.shape)
      #expect(found["role"] as? String == NanoWeights.role(tensor.name), "\(tensor.name)")
      #expect(found["bytes"] as? Int == tensor.byteCount)
      let values = tensor.values.map { Double($0) }
      let count = Double(values.count)
      let mean = values.reduce(0, +) / count
      let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
      let largest = values.reduce(0) { max($0, abs($1)) }
      expectFigures(
        found["statistics"],
        [
          "min": values.min() ?? .nan, "max": values.max() ?? .nan, "mean": mean, "std": deviation,
          "absmax": largest,
          "outlier_share": Double(values.count { abs($0 - mean) > 6 * deviation }) / count,
          "zero_count": Double(values.count { $0 == 0 }), "nan_count": 0, "inf_count": 0,
        ], tensor.name)
      var bars = [Int](repeating: 0, count: 24)
      for value in values {
        // A constant 0 has no width: it lies in the middle.
        bars[largest == 0 ? 12 : min(Int((value + largest) / (2 * largest / 24)), 23)] += 1
      }
      let histogram = (found["statistics"] as? [String: Any])?["histogram"] as? [Int]
      #expect(histogram == bars, "\(tensor.name)")
    }
  }
}

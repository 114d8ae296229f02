// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The tensors of the nano checkpoint as its file has them, to compute figures from in other ways than the tool.
struct NanoWeights {
  /// One tensor, widened.
  struct Tensor {
    let name: String
    let dtype: String
    let shape: [Int]
    let values: [Float]

    var byteCount: Int { values.count * (dtype == "F32" ? 4 : 2) }
  }

  let tensors: [Tensor]

  init() throws {
    let file = try TensorFile(Fixture.nano.appendingPathComponent("model.safetensors"))
    tensors = try file.header.keys.filter { $0 != "__metadata__" }.sorted().map { name in
      let entry = try #require(file.header[name] as? [String: Any])
      let dtype = try #require(entry["dtype"] as? String)
      let bytes = [UInt8](try file.bytes(name))
      let width = dtype == "F32" ? 4 : 2
      let values = stride(from: 0, to: bytes.count, by: width).map { place in
        let bits = (0..<width).reduce(0 as UInt32) { $0 | UInt32(bytes[place + $1]) << (8 * $1) }
        return Float(bitPattern: width == 2 ? bits << 16 : bits)
      }
      return Tensor(
        name: name, dtype: dtype, shape: try #require(entry["shape"] as? [Int]), values: values)
    }
  }

  /// What a tensor does, told from its name.
  static func role(_ name: String) -> String {
    let rules: [(part: String, role: String)] = [
      ("embed_tokens", "embedding"), ("lm_head", "head"), (".experts.", "routed_expert"),
      ("shared_experts", "shared_expert"), ("e_score_correction_bias", "router_bias"),
      ("moe.gate.weight", "router"), ("mlp.", "dense_mlp"), ("_conv1d", "kda_convolution"),
      ("A_log", "kda_parameter"), ("dt_bias", "kda_parameter"), ("norm", "norm"),
      // The last layer is the only one with latent attention.
      ("layers.3.self_attn", "mla_projection"), ("f_a_proj", "kda_gate"), ("f_b_proj", "kda_gate"),
      ("g_a_proj", "kda_gate"), ("g_b_proj", "kda_gate"), ("b_proj", "kda_gate"),
      ("self_attn", "kda_projection"),
    ]
    return rules.first { name.contains($0.part) }?.role ?? "?"
  }
}

extension NanoWeights.Tensor {
  /// What round-to-nearest makes of the tensor in groups of 32 (`Docs/Numerics.md`).
  struct Rounded {
    var values: [Float] = []
    var squaredError = 0.0
    var squaredNorm = 0.0
    var unequalCount = 0
    var largestError = 0.0
    var largestErrorPlace: Int?
  }

  /// Rounds to codes of 4 or 8 bits.
  func rounded(bits: Int) -> Rounded {
    var result = Rounded()
    let half = Float(1 << (bits - 1))
    for start in stride(from: 0, to: values.count, by: 32) {
      let group = values[start..<start + 32]
      let largest = group.reduce(0) { max($0, abs($1)) }
      // To the nearest BF16 number, half to even, of which only the upper 16 bits are left.
      let exact = (largest / (half - 0.5)).bitPattern
      let scale = Float(bitPattern: (exact + 0x7FFF + (exact >> 16 & 1)) & 0xFFFF_0000)
      for (index, weight) in zip(group.indices, group) {
        let code = min(max((weight / scale).rounded(.toNearestOrEven), -half), half - 1)
        let value = scale == 0 ? 0 : code * scale
        let error = abs(Double(weight) - Double(value))
        result.values.append(value)
        result.squaredError += error * error
        result.squaredNorm += Double(weight) * Double(weight)
        result.unequalCount += error > 0 ? 1 : 0
        if error > result.largestError {
          (result.largestError, result.largestErrorPlace) = (error, index)
        }
      }
    }
    return result
  }
}

/// Holds numbers of a JSON document against expected ones, by key.
func expectFigures(
  _ found: Any?, _ expected: [String: Double], within tolerance: Double = 1e-12,
  _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
  let found = found as? [String: Any] ?? [:]
  for (key, value) in expected.sorted(by: { $0.key < $1.key }) {
    let number = (found[key] as? NSNumber)?.doubleValue ?? .nan
    #expect(
      abs(number - value) <= tolerance * max(1, abs(value)),
      "\(what) \(key): \(number), not \(value)",
      sourceLocation: sourceLocation)
  }
}

// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore

/// Splits and renames the tensors of transformers' dialect into those of the released one.
///
/// | transformers | released |
/// |---|---|
/// | `mlp.experts.gate_up_proj [E, 2I, d]` | `block_sparse_moe.experts.e.{w1,w3}.weight [I, d]` |
/// | `mlp.experts.down_proj [E, d, I]` | `block_sparse_moe.experts.e.w2.weight [d, I]` |
/// | `mlp.{gate,experts,shared_experts}.…` | `block_sparse_moe.…` |
/// | `self_attn.conv1d.weight [3*H*K, 1, kernel]` | `self_attn.{q,k,v}_conv1d.weight [H*K, 1, kernel]` |
/// | `self_attn.forget_gate.…` | `self_attn.…` |
/// | `block_sparse_moe.{gate,up,down}_proj.…` | `mlp.…` |
///
/// Every part is contiguous in the fused tensor, so nothing is copied.
enum FusedTensor {
  /// The parts of a tensor, in the order of their bytes; nil if it needs no change.
  ///
  /// - Throws: `CheckpointError.fusedTensor` if its shape does not split.
  static func split(_ stored: StoredTensor, path: FilePath) throws -> [StoredTensor]? {
    guard let parts = parts(of: stored.name), !isExpertMatrix(parts.rest),
      case .plain = stored.encoding
    else { return nil }
    let (layer, rest) = (String(parts.layer), String(parts.rest))
    let splitter = Splitter(stored: stored, path: path)
    switch rest {
    case "mlp.experts.gate_up_proj", "block_sparse_moe.experts.gate_up_proj":
      return try splitter.experts(layer: layer, matrices: ["w1", "w3"])
    case "mlp.experts.down_proj", "block_sparse_moe.experts.down_proj":
      return try splitter.experts(layer: layer, matrices: ["w2"])
    case "self_attn.conv1d.weight":
      return try splitter.convolutions(layer: layer)
    default:
      let released = releasedName(rest)
      return released == rest ? nil : [try splitter.renamed("\(layer).\(released)")]
    }
  }

  /// The layer that a tensor is in, `model.layers.N`, and its name there; nil if it is in none.
  private static func parts(of name: ExactString) -> (layer: Substring, rest: Substring)? {
    let bytes = name.text.utf8
    let prefix = "model.layers."
    guard bytes.starts(with: prefix.utf8),
      let end = bytes.dropFirst(prefix.utf8.count).firstIndex(of: UInt8(ascii: "."))
    else { return nil }
    let rest = bytes[bytes.index(after: end)...]
    guard rest.contains(UInt8(ascii: ".")) else { return nil }
    return (Substring(bytes[..<end]), Substring(rest))
  }

  /// Whether this is one matrix of one expert, as nearly all tensors of a released checkpoint are.
  private static func isExpertMatrix(_ name: Substring) -> Bool {
    let prefix = "block_sparse_moe.experts."
    guard name.utf8.starts(with: prefix.utf8),
      let next = name.utf8.dropFirst(prefix.utf8.count).first
    else { return false }
    return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next)
  }

  private static func releasedName(_ name: String) -> String {
    for part in ["gate.", "experts.", "shared_experts."] where name.hasPrefix("mlp.\(part)") {
      return "block_sparse_moe." + name.dropFirst(4)
    }
    // Saving in the released dialect, transformers moves the dense layers along with the experts.
    for part in ["gate_proj.", "up_proj.", "down_proj."]
    where name.hasPrefix("block_sparse_moe.\(part)") {
      return "mlp." + name.dropFirst("block_sparse_moe.".count)
    }
    if name.hasPrefix("self_attn.forget_gate.") {
      return "self_attn." + name.dropFirst("self_attn.forget_gate.".count)
    }
    return name
  }
}

/// Cuts one tensor along its first dimensions.
private struct Splitter {
  let stored: StoredTensor
  let path: FilePath

  private var dimensions: [Int] { stored.shape.dimensions }

  /// What is split was read from safetensors, where everything is in place.
  private func tensor() throws -> EncodedTensor { try stored.load(workers: Workers(count: 1)) }

  func renamed(_ name: String) throws -> StoredTensor {
    StoredTensor(
      name: ExactString(name), tensor: try tensor(), sourceDType: stored.sourceDType)
  }

  /// `[E, n * rows, columns]` into n matrices `[rows, columns]` for each expert.
  func experts(layer: String, matrices: [String]) throws -> [StoredTensor] {
    // Without elements there could be more experts than names fit in memory.
    guard dimensions.count == 3, dimensions[1] % matrices.count == 0,
      stored.shape.elementCount > 0, dimensions[0] <= ModelTensors.maximumCount
    else {
      throw failure(
        expected: matrices.count == 2
          ? "[experts, 2 * width, hidden]"
          : "[experts, hidden, width]")
    }
    let names = (0..<dimensions[0]).flatMap { expert in
      matrices.map { "\(layer).block_sparse_moe.experts.\(expert).\($0).weight" }
    }
    return try cut(into: names, shape: [dimensions[1] / matrices.count, dimensions[2]])
  }

  /// `[3 * channels, 1, kernel]` into three `[channels, 1, kernel]`.
  func convolutions(layer: String) throws -> [StoredTensor] {
    guard dimensions.count == 3, dimensions[0] % 3 == 0 else {
      throw failure(expected: "[3 * channels, 1, kernel]")
    }
    let names = ["q", "k", "v"].map { "\(layer).self_attn.\($0)_conv1d.weight" }
    return try cut(into: names, shape: [dimensions[0] / 3, dimensions[1], dimensions[2]])
  }

  private func cut(into names: [String], shape: [Int]) throws -> [StoredTensor] {
    let whole = try tensor()
    let byteCount = whole.region.byteCount / names.count
    return try names.enumerated().map { index, name in
      let region = whole.region.part(index * byteCount..<(index + 1) * byteCount)
      guard let shape = TensorShape(shape),
        let tensor = EncodedTensor(
          encoding: whole.encoding, shape: shape, region: region)
      else { throw failure(expected: "\(names.count) parts of whole bytes") }
      return StoredTensor(
        name: ExactString(name), tensor: tensor, sourceDType: stored.sourceDType)
    }
  }

  private func failure(expected: String) -> CheckpointError {
    .fusedTensor(
      path, name: stored.name.text, shape: stored.shape.description, expected: expected)
  }
}

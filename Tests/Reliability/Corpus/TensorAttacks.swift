// SPDX-License-Identifier: Apache-2.0

import TensorCore
import TestSupport

/// R6: sound files whose tensors are not those that the configuration implies.
enum TensorAttacks {
  static var cases: [MalformedCase] {
    missing + shapes + extra + types
  }

  private static let tensors = Models.tiny.tensors

  private static func checkpoint(
    _ name: String, naming tensor: String, _ tensors: [TinyTensor]
  ) -> MalformedCase {
    MalformedCase(
      name: "tensors: \(name) \(tensor)", promises: ["R6"], places: [tensor],
      refusedBy: Subject.ofTensors
    ) { folder in
      var files = Models.files()
      files["model.safetensors"] = TinyTensor.file(tensors)
      for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
    }
  }

  /// Each tensor left out, one at a time; of experts, every third.
  private static var missing: [MalformedCase] {
    tensors.enumerated().filter { !$0.element.name.contains(".experts.") || $0.offset % 3 == 0 }
      .map { index, tensor in
        var rest = tensors
        rest.remove(at: index)
        return checkpoint("without", naming: tensor.name, rest)
      }
  }

  /// Tensors with the right number of elements in other shapes.
  private static var shapes: [MalformedCase] {
    tensors.enumerated().filter { $0.offset % 3 == 0 && $0.element.shape.count > 1 }.map {
      index, tensor in
      var changed = tensors
      let shape = tensor.shape
      // A square matrix transposed has the same shape; A_log may also be a vector.
      changed[index].shape =
        shape.count == 2 && shape[0] != shape[1] ? shape.reversed() : [1] + shape + [1]
      if tensor.name.hasSuffix("A_log") {
        changed[index].shape = [2, 1, 1, 1, 1, 0 + 1].dropLast() + [1]
      }
      return checkpoint("\(changed[index].shape) for", naming: tensor.name, changed)
    }.filter { !$0.name.contains("A_log") }
  }

  private static var extra: [MalformedCase] {
    let prefix = "model.layers.1.block_sparse_moe"
    let names = [
      "\(prefix).experts.4.w1.weight", "\(prefix).experts.99.w2.weight",
      "\(prefix).experts.9223372036854775807.w3.weight",
      "model.layers.0.block_sparse_moe.experts.0.w1.weight",
      "model.layers.3.input_layernorm.weight", "model.layers.9.self_attn.q_proj.weight",
      "model.layers.0.self_attn.kv_b_proj.weight", "model.layers.2.self_attn.A_log",
      "model.layers.1.mlp.up_proj.weight", "model.layers.2.mlp.experts.gate_up_proj",
    ]
    return names.map { name in
      checkpoint(
        "an extra", naming: name,
        tensors + [TinyTensor(name: name, dtype: .bf16, shape: [1], bytes: [0, 0])])
    }
  }

  /// Element types that nobody can compute with.
  private static var types: [MalformedCase] {
    [DType.u8, .i16, .f64, .bool].enumerated().compactMap { offset, dtype in
      let index = offset * 7 + 1
      var changed = tensors
      guard let count = dtype.byteCount(elementCount: changed[index].shape.reduce(1, *)) else {
        return nil
      }
      changed[index].dtype = dtype
      changed[index].bytes = [UInt8](repeating: 1, count: count)
      return checkpoint("\(dtype) in", naming: changed[index].name, changed)
    }
  }
}

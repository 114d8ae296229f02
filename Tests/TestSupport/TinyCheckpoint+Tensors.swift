// SPDX-License-Identifier: Apache-2.0

import Glibc
import TensorCore

extension TinyCheckpoint {
  /// The tensors in the checkpoint's dialect.
  package var tensors: [TinyTensor] {
    dialect == .released ? releasedTensors : transformersTensors
  }

  /// The tensors of the released dialect, not in any order that matters.
  package var releasedTensors: [TinyTensor] {
    var tensors = [matrix("lm_head.weight", vocabularySize, hiddenSize)]
    if tiesEmbeddings { tensors = [] }
    tensors.append(matrix("model.embed_tokens.weight", vocabularySize, hiddenSize))
    tensors.append(norm("model.norm.weight", hiddenSize))
    for (index, isLinear) in isLinear.enumerated() {
      let layer = "model.layers.\(index)"
      tensors.append(norm("\(layer).input_layernorm.weight", hiddenSize))
      tensors.append(norm("\(layer).post_attention_layernorm.weight", hiddenSize))
      tensors +=
        isLinear ? linearAttention("\(layer).self_attn") : latentAttention("\(layer).self_attn")
      tensors +=
        index < denseLayers
        ? feedForward("\(layer).mlp", intermediateSize) : mixture("\(layer).block_sparse_moe")
    }
    return tensors
  }

  private func linearAttention(_ prefix: String) -> [TinyTensor] {
    let width = linearHeads * linearHeadDimension
    var tensors: [TinyTensor] = []
    for part in ["q", "k", "v"] {
      tensors.append(matrix("\(prefix).\(part)_proj.weight", width, hiddenSize))
      tensors.append(matrix("\(prefix).\(part)_conv1d.weight", width, 1, kernelSize))
    }
    for gate in ["f", "g"] {
      tensors.append(matrix("\(prefix).\(gate)_a_proj.weight", linearHeadDimension, hiddenSize))
      tensors.append(matrix("\(prefix).\(gate)_b_proj.weight", width, linearHeadDimension))
    }
    tensors.append(matrix("\(prefix).b_proj.weight", linearHeads, hiddenSize))
    tensors.append(decay("\(prefix).A_log"))
    tensors.append(
      vector("\(prefix).dt_bias", width, .f32) { random in
        let step = exp(Float.random(in: -6 ... -2, using: &random))
        return step + log(-expm1(-step))
      })
    tensors.append(norm("\(prefix).o_norm.weight", linearHeadDimension))
    tensors.append(matrix("\(prefix).o_proj.weight", hiddenSize, width))
    return tensors
  }

  private func decay(_ name: String) -> TinyTensor {
    var tensor = vector(name, linearHeads, .f32) { log(Float.random(in: 1...16, using: &$0)) }
    switch decayShape {
    case .released: tensor.shape = [1, 1, linearHeads, 1]
    case .vector: break
    case .padded(let count):
      tensor.shape = [linearHeads + count]
      tensor.bytes += [UInt8](repeating: 0, count: 4 * count)
    }
    return tensor
  }

  private func latentAttention(_ prefix: String) -> [TinyTensor] {
    let queries = latentHeads * (nopeDimension + ropeDimension)
    var tensors = [matrix("\(prefix).q_proj.weight", queries, hiddenSize)]
    if let queryRank {
      tensors = [
        matrix("\(prefix).q_a_proj.weight", queryRank, hiddenSize),
        norm("\(prefix).q_a_layernorm.weight", queryRank),
        matrix("\(prefix).q_b_proj.weight", queries, queryRank),
      ]
    }
    return tensors + [
      matrix("\(prefix).kv_a_proj_with_mqa.weight", latentRank + ropeDimension, hiddenSize),
      norm("\(prefix).kv_a_layernorm.weight", latentRank),
      matrix(
        "\(prefix).kv_b_proj.weight", latentHeads * (nopeDimension + valueDimension), latentRank),
      matrix("\(prefix).o_proj.weight", hiddenSize, latentHeads * valueDimension),
    ]
  }

  private func mixture(_ prefix: String) -> [TinyTensor] {
    var tensors = [
      matrix("\(prefix).gate.weight", experts, hiddenSize),
      vector("\(prefix).gate.e_score_correction_bias", experts, .f32) {
        Float.random(in: -0.1...0.1, using: &$0)
      },
    ]
    for expert in 0..<experts {
      tensors.append(matrix("\(prefix).experts.\(expert).w1.weight", expertWidth, hiddenSize))
      tensors.append(matrix("\(prefix).experts.\(expert).w2.weight", hiddenSize, expertWidth))
      tensors.append(matrix("\(prefix).experts.\(expert).w3.weight", expertWidth, hiddenSize))
    }
    return sharedExperts == 0
      ? tensors : tensors + feedForward("\(prefix).shared_experts", expertWidth * sharedExperts)
  }

  private func feedForward(_ prefix: String, _ width: Int) -> [TinyTensor] {
    [
      matrix("\(prefix).gate_proj.weight", width, hiddenSize),
      matrix("\(prefix).up_proj.weight", width, hiddenSize),
      matrix("\(prefix).down_proj.weight", hiddenSize, width),
    ]
  }

  // MARK: - Values

  /// Normal numbers that keep the size of what they are multiplied with.
  private func matrix(_ name: String, _ shape: Int...) -> TinyTensor {
    let columns = shape.last ?? 1
    let scale = name == "model.embed_tokens.weight" ? 1 : 1 / Float(columns).squareRoot()
    var tensor = vector(name, shape.reduce(1, *), dtype) { $0.normal() * scale }
    tensor.shape = shape
    return tensor
  }

  private func norm(_ name: String, _ count: Int) -> TinyTensor {
    vector(name, count, dtype) { 1 + 0.1 * $0.normal() }
  }

  private func vector(
    _ name: String, _ count: Int, _ dtype: DType,
    _ value: (inout SeededGenerator) -> Float
  ) -> TinyTensor {
    // FNV-1a of the name, so that a tensor's values do not depend on the others.
    let hash = name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
    var random = SeededGenerator(seed: seed ^ hash)
    let values = (0..<count).map { _ in value(&random) }
    let bytes =
      switch dtype {
      case .bf16: values.flatMap { BFloat16($0).bitPattern.littleEndianBytes }
      case .f16: values.flatMap { Float16($0).bitPattern.littleEndianBytes }
      default: values.flatMap { $0.bitPattern.littleEndianBytes }
      }
    return TinyTensor(name: name, dtype: dtype, shape: [count], bytes: bytes)
  }
}

extension SeededGenerator {
  /// About a normally distributed number: the sum of twelve uniform ones.
  package mutating func normal() -> Float {
    (0..<12).reduce(-6) { sum, _ in sum + Float.random(in: 0..<1, using: &self) }
  }
}

// MARK: - The other dialect

extension TinyCheckpoint {
  /// The tensors as transformers stores them: some renamed, experts and convolutions fused.
  private var transformersTensors: [TinyTensor] {
    let released = releasedTensors
    let experts = "block_sparse_moe.experts."
    var tensors: [TinyTensor] = released.filter {
      !$0.name.contains(experts) && !$0.name.contains("_conv1d")
    }.map { tensor in
      var tensor = tensor
      tensor.name = tensor.name.replacingFirst("block_sparse_moe.", "mlp.")
      for part in ["f_a_proj", "f_b_proj", "dt_bias", "A_log"] {
        tensor.name = tensor.name.replacingFirst(
          "self_attn.\(part)", "self_attn.forget_gate.\(part)")
      }
      return tensor
    }
    func fused(_ name: String, _ shape: [Int], _ parts: [String]) {
      let bytes = parts.flatMap { part in released.first { $0.name == part }?.bytes ?? [] }
      tensors.append(TinyTensor(name: name, dtype: dtype, shape: shape, bytes: bytes))
    }
    for (index, isLinear) in isLinear.enumerated() {
      let layer = "model.layers.\(index)"
      if isLinear {
        fused(
          "\(layer).self_attn.conv1d.weight",
          [3 * linearHeads * linearHeadDimension, 1, kernelSize],
          ["q", "k", "v"].map { "\(layer).self_attn.\($0)_conv1d.weight" })
      }
      guard index >= denseLayers else { continue }
      fused(
        "\(layer).mlp.experts.gate_up_proj", [self.experts, 2 * expertWidth, hiddenSize],
        (0..<self.experts).flatMap { expert in
          ["w1", "w3"].map { "\(layer).\(experts)\(expert).\($0).weight" }
        })
      fused(
        "\(layer).mlp.experts.down_proj", [self.experts, hiddenSize, expertWidth],
        (0..<self.experts).map { "\(layer).\(experts)\($0).w2.weight" })
    }
    return tensors
  }
}

extension String {
  fileprivate func replacingFirst(_ old: String, _ new: String) -> String {
    split(separator: old, maxSplits: 1, omittingEmptySubsequences: false).joined(separator: new)
  }
}

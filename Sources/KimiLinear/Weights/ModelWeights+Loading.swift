// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import Kernels
package import TensorCore

extension ModelWeights {
  /// Finds the weights of a model among the tensors of a checkpoint.
  ///
  /// - Parameters:
  ///   - tensors: Tensors that `TensorInventory.check` has accepted.
  ///   - configuration: The model.
  ///   - model: Its name in errors.
  ///   - workers: Threads that unpack compressed tensors, into memory for as long as the weights live.
  /// - Throws: `ModelError.missingTensor`, or what unpacking throws.
  package init(
    _ tensors: ModelTensors, configuration: ModelConfiguration, model: String, workers: Workers
  ) throws {
    let finder = WeightFinder(tensors: tensors, model: model, workers: workers)
    embedding = try finder.matrix("model.embed_tokens.weight")
    finalNorm = try finder.vector("model.norm.weight")
    head = configuration.tiesEmbeddings ? embedding : try finder.matrix("lm_head.weight")
    layers = try configuration.layers.indices.map { try finder.layer($0, of: configuration) }
  }
}

extension ModelWeights.Layer {
  /// Finds the weights of one layer alone.
  ///
  /// - Parameters:
  ///   - index: The layer.
  ///   - tensors: Tensors that `TensorInventory.check` has accepted.
  ///   - replacements: Tensors that stand in for those of the same name.
  ///   - configuration: The model.
  ///   - model: Its name in errors.
  ///   - workers: Threads that unpack compressed tensors.
  /// - Throws: `ModelError.missingTensor`, or what unpacking throws.
  package init(
    _ index: Int, of tensors: ModelTensors, replacing replacements: [ExactString: EncodedTensor],
    configuration: ModelConfiguration, model: String, workers: Workers
  ) throws {
    let finder = WeightFinder(
      tensors: tensors, model: model, workers: workers, replacements: replacements)
    self = try finder.layer(index, of: configuration)
  }
}

/// Looks tensors up by name.
private struct WeightFinder {
  let tensors: ModelTensors
  let model: String
  let workers: Workers
  /// Tensors that stand in for those of the same name.
  var replacements: [ExactString: EncodedTensor] = [:]

  func layer(_ index: Int, of configuration: ModelConfiguration) throws -> ModelWeights.Layer {
    let layer = configuration.layers[index]
    let prefix = "model.layers.\(index)"
    return ModelWeights.Layer(
      inputNorm: try vector("\(prefix).input_layernorm.weight"),
      feedForwardNorm: try vector("\(prefix).post_attention_layernorm.weight"),
      attention: layer.isLinearAttention
        ? .linear(try linearAttention("\(prefix).self_attn", configuration.linearAttention))
        : .latent(try latentAttention("\(prefix).self_attn", configuration.latentAttention)),
      feedForward: try layer.hasExperts
        ? configuration.experts.map {
          .experts(try experts("\(prefix).block_sparse_moe", $0))
        } ?? .dense(try feedForward("\(prefix).mlp"))
        : .dense(try feedForward("\(prefix).mlp")))
  }

  func matrix(_ name: String) throws -> EncodedTensor {
    if let replacement = replacements[ExactString(name)] { return replacement }
    guard let stored = tensors[ExactString(name)] else {
      throw ModelError.missingTensor(model: model, name: name, shape: "")
    }
    return try stored.load(workers: workers)
  }

  /// All elements of a small tensor, or its first ones where it is padded.
  func vector(_ name: String, count: Int? = nil) throws -> [Float] {
    let elements = widened(try matrix(name))
    return count.map { Array(elements.prefix($0)) } ?? elements
  }

  private func convolution(
    _ name: String, _ dimensions: ModelConfiguration.LinearAttention?
  ) throws -> ShortConvolutionWeights {
    ShortConvolutionWeights(try vector(name), kernel: dimensions?.kernelSize ?? 1)
  }

  func linearAttention(
    _ prefix: String, _ dimensions: ModelConfiguration.LinearAttention?
  ) throws -> LinearAttentionWeights {
    LinearAttentionWeights(
      query: try matrix("\(prefix).q_proj.weight"),
      key: try matrix("\(prefix).k_proj.weight"),
      value: try matrix("\(prefix).v_proj.weight"),
      queryConvolution: try convolution("\(prefix).q_conv1d.weight", dimensions),
      keyConvolution: try convolution("\(prefix).k_conv1d.weight", dimensions),
      valueConvolution: try convolution("\(prefix).v_conv1d.weight", dimensions),
      forgetDown: try matrix("\(prefix).f_a_proj.weight"),
      forgetUp: try matrix("\(prefix).f_b_proj.weight"),
      gateDown: try matrix("\(prefix).g_a_proj.weight"),
      gateUp: try matrix("\(prefix).g_b_proj.weight"),
      beta: try matrix("\(prefix).b_proj.weight"),
      logDecayRate: try vector("\(prefix).A_log", count: dimensions?.heads),
      decayBias: try vector("\(prefix).dt_bias"),
      outputNorm: try vector("\(prefix).o_norm.weight"),
      output: try matrix("\(prefix).o_proj.weight"))
  }

  func latentAttention(
    _ prefix: String, _ dimensions: ModelConfiguration.LatentAttention?
  ) throws -> LatentAttentionWeights {
    let isLowRank = dimensions?.queryRank != nil
    return LatentAttentionWeights(
      query: try matrix(isLowRank ? "\(prefix).q_b_proj.weight" : "\(prefix).q_proj.weight"),
      queryDown: isLowRank ? try matrix("\(prefix).q_a_proj.weight") : nil,
      queryNorm: isLowRank ? try vector("\(prefix).q_a_layernorm.weight") : [],
      latentDown: try matrix("\(prefix).kv_a_proj_with_mqa.weight"),
      latentNorm: try vector("\(prefix).kv_a_layernorm.weight"),
      latentUp: try matrix("\(prefix).kv_b_proj.weight"),
      output: try matrix("\(prefix).o_proj.weight"))
  }

  func experts(
    _ prefix: String, _ dimensions: ModelConfiguration.Experts
  ) throws -> ExpertWeights {
    ExpertWeights(
      gate: try matrix("\(prefix).gate.weight"),
      router: Router(
        bias: try vector("\(prefix).gate.e_score_correction_bias"),
        perToken: dimensions.perToken, groups: dimensions.groups,
        groupsPerToken: dimensions.groupsPerToken, renormalizes: dimensions.renormalizes,
        scalingFactor: dimensions.scalingFactor),
      experts: try (0..<dimensions.count).map { expert in
        FeedForwardWeights(
          gate: try matrix("\(prefix).experts.\(expert).w1.weight"),
          up: try matrix("\(prefix).experts.\(expert).w3.weight"),
          down: try matrix("\(prefix).experts.\(expert).w2.weight"))
      },
      shared: dimensions.shared > 0 ? try feedForward("\(prefix).shared_experts") : nil)
  }

  func feedForward(_ prefix: String) throws -> FeedForwardWeights {
    FeedForwardWeights(
      gate: try matrix("\(prefix).gate_proj.weight"),
      up: try matrix("\(prefix).up_proj.weight"),
      down: try matrix("\(prefix).down_proj.weight"))
  }
}

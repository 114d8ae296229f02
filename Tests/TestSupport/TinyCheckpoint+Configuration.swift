// SPDX-License-Identifier: Apache-2.0

package import JSON
import TensorCore

extension TinyCheckpoint {
  /// `config.json` in the checkpoint's dialect.
  package var configuration: JSONValue {
    let specific = dialect == .released ? releasedConfiguration : transformersConfiguration
    return .object(commonConfiguration.members + specific.members)
  }

  private var commonConfiguration: JSONValue {
    [
      "architectures": ["KimiLinearForCausalLM"],
      "model_type": "kimi_linear",
      "vocab_size": .integer(vocabularySize),
      "hidden_size": .integer(hiddenSize),
      "num_hidden_layers": .integer(isLinear.count),
      "intermediate_size": .integer(intermediateSize),
      "num_attention_heads": .integer(latentHeads),
      "num_key_value_heads": .integer(latentHeads),
      "q_lora_rank": queryRank.map { .integer($0) } ?? .null,
      "kv_lora_rank": .integer(latentRank),
      "qk_nope_head_dim": .integer(nopeDimension),
      "qk_rope_head_dim": .integer(ropeDimension),
      "v_head_dim": .integer(valueDimension),
      "moe_intermediate_size": .integer(expertWidth),
      "topk_group": .integer(groupsPerToken),
      "routed_scaling_factor": .number(1.5),
      "rms_norm_eps": .number(1e-5),
      "hidden_act": "silu",
      "tie_word_embeddings": .bool(tiesEmbeddings),
    ]
  }

  private var releasedConfiguration: JSONValue {
    func layers(_ kind: Bool) -> JSONValue {
      .array(isLinear.indices.filter { isLinear[$0] == kind }.map { .integer($0 + 1) })
    }
    return [
      "mla_use_nope": true,
      "linear_attn_config": [
        "num_heads": .integer(linearHeads), "head_dim": .integer(linearHeadDimension),
        "short_conv_kernel_size": .integer(kernelSize), "kda_layers": layers(true),
        "full_attn_layers": layers(false),
      ],
      "first_k_dense_replace": .integer(denseLayers),
      "moe_layer_freq": 1,
      "num_experts": .integer(experts),
      "num_experts_per_token": .integer(expertsPerToken),
      "num_shared_experts": .integer(sharedExperts),
      "num_expert_group": .integer(groups),
      "use_grouped_topk": true,
      "moe_renormalize": .bool(renormalizes),
      "moe_router_activation_func": "sigmoid",
      "rope_scaling": .null,
      "num_nextn_predict_layers": 0,
      "model_max_length": 4096,
    ]
  }

  private var transformersConfiguration: JSONValue {
    [
      "layer_types": .array(
        isLinear.map { .string($0 ? "linear_attention" : "full_attention") }),
      "mlp_layer_types": .array(
        isLinear.indices.map { .string($0 < denseLayers ? "dense" : "sparse") }),
      "linear_num_heads": .integer(linearHeads),
      "linear_head_dim": .integer(linearHeadDimension),
      "linear_conv_kernel_dim": .integer(kernelSize),
      "num_local_experts": .integer(experts),
      "num_experts_per_tok": .integer(expertsPerToken),
      "n_shared_experts": .integer(sharedExperts),
      "n_group": .integer(groups),
      "norm_topk_prob": .bool(renormalizes),
      "max_position_embeddings": 4096,
    ]
  }
}

extension JSONValue {
  /// The members of an object; none of anything else.
  package var members: [JSONMember] {
    if case .object(let members) = self { members } else { [] }
  }

  /// The same object with one value replaced, added, or removed by nil; a path is keys with dots.
  package func setting(_ path: String, to value: JSONValue?) -> JSONValue {
    let keys = path.split(separator: ".", maxSplits: 1).map(String.init)
    let key = ExactString(keys[0])
    let new = keys.count == 1 ? value : (self[key] ?? [:]).setting(keys[1], to: value)
    guard let place = members.firstIndex(where: { $0.key == key }) else {
      return .object(members + (new.map { [JSONMember(key: key, value: $0)] } ?? []))
    }
    var members = members
    members.replaceSubrange(
      place...place, with: new.map { [JSONMember(key: key, value: $0)] } ?? [])
    return .object(members)
  }
}

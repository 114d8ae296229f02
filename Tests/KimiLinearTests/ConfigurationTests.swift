// SPDX-License-Identifier: Apache-2.0

import JSON
import KimiLinear
import TensorCore
import TestSupport
import Testing

/// `config.json` in both dialects, and every way in which it can ask for what is not there.
@Suite struct ConfigurationTests {
  private func read(_ configuration: JSONValue) throws -> ModelConfiguration {
    try ModelConfiguration(JSONField(file: "config.json", root: configuration))
  }

  /// The error for one changed key, in words; nil if it is accepted.
  private func refusal(
    _ path: String, _ value: JSONValue?, of checkpoint: TinyCheckpoint = TinyCheckpoint()
  ) -> String? {
    do {
      _ = try read(checkpoint.configuration.setting(path, to: value))
      return nil
    } catch {
      #expect(error is ModelError || error is JSONError)
      #expect("\(error)".hasPrefix("config.json: "))
      return "\(error)"
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `both dialects are read as the same model`(checkpoint: TinyCheckpoint) throws {
    let released = try read(checkpoint.inDialect(.released).configuration)
    #expect(try read(checkpoint.inDialect(.transformers).configuration) == released)
    #expect(released.layers.map(\.isLinearAttention) == checkpoint.isLinear)
    #expect(
      released.layers.map(\.hasExperts)
        == checkpoint.isLinear.indices.map { $0 >= checkpoint.denseLayers })
    #expect(released.hiddenSize == checkpoint.hiddenSize)
    #expect(released.tiesEmbeddings == checkpoint.tiesEmbeddings)
    #expect(released.maximumContext == 4096)
    if let experts = released.experts {
      #expect(experts.count == checkpoint.experts && experts.shared == checkpoint.sharedExperts)
      #expect(experts.groups == checkpoint.groups && experts.scalingFactor == 1.5)
      #expect(experts.renormalizes == checkpoint.renormalizes)
    }
    #expect(
      released.latentAttention?.queryRank
        == (released.latentAttention == nil ? nil : checkpoint.queryRank))
  }

  @Test(
    arguments: [
      ("model_type", "deepseek_v3"), ("hidden_act", "gelu"), ("hidden_act", 1),
      ("moe_router_activation_func", "softmax"), ("topk_method", "greedy"), ("mla_use_nope", false),
      ("mla_use_nope", "true"), ("attention_bias", true), ("rope_scaling", ["type": "yarn"]),
      ("num_nextn_predict_layers", 1), ("num_key_value_heads", 1), ("tie_word_embeddings", 1),
      ("rms_norm_eps", 0), ("rms_norm_eps", "1e-5"), ("rms_norm_eps", 1), ("moe_renormalize", 0),
      ("routed_scaling_factor", "2"), ("use_grouped_topk", 1),
      ("architectures", "KimiLinearForCausalLM"), ("architectures", [1]),
    ] as [(String, JSONValue)])
  func `what is not implemented is refused by key`(key: String, value: JSONValue) {
    #expect(refusal(key, value)?.contains("\"\(key)") == true)
  }

  @Test(arguments: [
    "vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads",
    "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "moe_intermediate_size",
    "num_experts_per_token", "linear_attn_config.num_heads", "linear_attn_config.head_dim",
    "linear_attn_config.short_conv_kernel_size", "linear_attn_config.kda_layers",
    "linear_attn_config.full_attn_layers",
  ])
  func `sizes are needed and must be whole, positive and possible`(key: String) {
    #expect(refusal(key, nil)?.contains("\"\(key)\"") == true)
    for value in [.null, -1, "4", .number(4.0), true, [], .integer(Int.max), .integer(1 << 40)]
      as [JSONValue]
    {
      // An empty list of layers is read; then the layers that are in none are missed.
      let named = value == [] && key.hasPrefix("linear") ? "linear_attn_config" : "\"\(key)\""
      #expect(refusal(key, value)?.contains(named) == true, "\(key) \(value)")
    }
    if key != "qk_rope_head_dim", !key.hasSuffix("layers") || key == "num_hidden_layers" {
      #expect(refusal(key, 0)?.contains("\"\(key)\"") == true)
    }
  }

  @Test(
    arguments: [
      ([1, 2], [3, 4], "[1]"), ([1, 2], [], "layer 3 of 3 is neither"), ([], [], "layer 1 of 3"),
      ([1, 2], [2, 3], "layer 2 is listed twice"), ([1, 1, 2], [3], "layer 1 is listed twice"),
      ([0, 1, 2], [3], "[0]"), ([1, 2, -3], [3], "[2]"), ([1, 3], [], "layer 2 of 3"),
    ] as [([Int], [Int], String)])
  func `layers must be listed once each`(kda: [Int], mla: [Int], problem: String) {
    let configuration = TinyCheckpoint().configuration
      .setting("linear_attn_config.kda_layers", to: .array(kda.map { .integer($0) }))
      .setting("linear_attn_config.full_attn_layers", to: .array(mla.map { .integer($0) }))
    #expect { try read(configuration) } throws: { error in
      "\(error)".contains("linear_attn_config") && "\(error)".contains(problem)
    }
  }

  @Test func `typed layers must be as many as there are and of known kinds`() {
    let other = TinyCheckpoint { $0.dialect = .transformers }
    for (key, types) in [
      ("layer_types", ["linear_attention", "full_attention"]), ("mlp_layer_types", ["dense"]),
      ("layer_types", ["linear_attention", "full_attention", "sliding_attention"]),
      ("mlp_layer_types", ["dense", "sparse", "moe"]), ("layer_types", []),
    ] as [(String, [String])] {
      #expect(
        refusal(key, .array(types.map { .string($0) }), of: other)?.contains("\"\(key)") == true)
    }
    #expect(refusal("layer_types", nil, of: other)?.contains("layer_types") == true)
    #expect(refusal("linear_num_heads", nil, of: other)?.contains("linear_num_heads") == true)
    #expect(refusal("num_local_experts", 0, of: other)?.contains("num_") == true)
  }

  @Test(arguments: [
    ("num_expert_group", 3, "num_expert_group"), ("num_expert_group", 4, "num_expert_group"),
    ("num_expert_group", 0, "num_expert_group"), ("num_expert_group", 5, "num_expert_group"),
    ("topk_group", 2, "topk_group"), ("topk_group", 0, "topk_group"),
    ("num_experts_per_token", 5, "num_experts_per_token"),
    ("num_experts", -1, "num_experts"), ("num_experts", 1 << 21, "num_experts"),
    ("num_experts", 1, "num_experts_per_token"), ("num_shared_experts", -1, "num_shared_experts"),
    ("moe_layer_freq", 0, "moe_layer_freq"), ("first_k_dense_replace", -1, "first_k_dense_replace"),
  ])
  func `experts and groups must go together`(key: String, value: Int, named: String) {
    #expect(refusal(key, .integer(value))?.contains("\"\(named)\"") == true)
  }

  @Test func `more experts a token than the chosen groups hold are refused`() {
    let grouped = TinyCheckpoint {
      ($0.experts, $0.groups, $0.groupsPerToken, $0.expertsPerToken) = (8, 4, 1, 2)
    }
    #expect(refusal("num_experts_per_token", 2, of: grouped) == nil)
    #expect(
      refusal("num_experts_per_token", 3, of: grouped)?.contains("num_experts_per_token") == true)
    #expect(refusal("use_grouped_topk", false, of: grouped) == nil)
  }

  @Test func `what may be left out has its usual value`() throws {
    var configuration = TinyCheckpoint().configuration
    for key in [
      "hidden_act", "tie_word_embeddings", "mla_use_nope", "model_type",
      "num_expert_group", "topk_group", "use_grouped_topk", "rope_scaling",
      "num_key_value_heads", "q_lora_rank", "moe_layer_freq", "moe_router_activation_func",
    ] {
      configuration = configuration.setting(key, to: nil)
    }
    #expect(try read(configuration) == read(TinyCheckpoint().configuration))
    #expect(refusal("num_experts", 0) == nil)
    #expect(refusal("num_experts", nil) == nil)
    let every = try read(TinyCheckpoint().configuration.setting("moe_layer_freq", to: 2))
    #expect(every.layers.map(\.hasExperts) == [false, false, true])
  }

  @Test(arguments: [
    "rms_norm_eps", "moe_renormalize", "num_shared_experts", "routed_scaling_factor",
  ])
  func `what implementations have different defaults for must be there`(key: String) {
    #expect(refusal(key, nil)?.contains("\"\(key)\" is missing") == true)
  }
}

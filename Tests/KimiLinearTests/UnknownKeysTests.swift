// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import KimiLinear
import TestSupport
import Testing

/// Keys of the configuration that Kiln does not know, and what they may mean.
@Suite struct UnknownKeysTests {
  private static let sound = TinyCheckpoint().configuration

  private func unknown(_ path: String, _ value: JSONValue) throws -> UnknownKeys {
    try UnknownKeys(
      JSONField(file: "config.json", root: Self.sound.setting(path, to: value)))
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `both dialects are known`(checkpoint: TinyCheckpoint) throws {
    let keys = try UnknownKeys(JSONField(file: "config.json", root: checkpoint.configuration))
    #expect(keys.consequential.isEmpty && keys.others.isEmpty)
  }

  @Test(
    arguments: [
      // Successors of the family.
      ("linear_attn_config.gate_lower_bound", .number(-5.0)), ("mla_use_output_gate", true),
      ("linear_attn_config.use_full_rank_gate", true), ("routed_expert_hidden_size", 64),
      ("latent_moe_use_norm", true), ("attn_res_block_size", 12),
      ("activation_situ_beta", .number(4.0)),
      ("linear_attn_config.kda_gate_clamp", 3), ("mtp_config.num_layers", 1),
      // Other families.
      ("attn_logit_softcapping", .number(50.0)), ("final_logit_softcapping", 30),
      ("use_qk_norm", true),
      ("sliding_window", 4096), ("residual_multiplier", .number(0.22)),
      ("attention_multiplier", .number(0.0078125)),
      ("logits_scaling", .number(8.0)), ("mlp_bias", true), ("swiglu_limit", .number(7.0)),
      ("attention_sinks", true),
      ("norm_type", "layernorm"), ("routerScoreFunction", "softmax"), ("kdaGateClamp", 3),
      ("rope_parameters.mscale", .number(0.7)), ("query_pre_attn_scalar", 256),
      ("index_topk", 2048),
      // Capitals in a row, and words that stand apart.
      ("useRoPE", true), ("useMoE", true), ("useMLAGate", true), ("useSWA", true),
      ("LoRAAlpha", 2), ("use_ro_pe", true), ("soft_max_fn", "entmax"),
      // A factor or a bound is one whatever else the name says.
      ("attention_scale_coef", 2), ("residual_coef", .number(0.5)), ("gate_bound_init", -3),
      ("gate_train_only", 1), ("aux_gate_bound", 1),
      // As Granite uses it, this stands in place of 1/sqrt(d).
      ("attention_multiplier", .number(1.0)), ("attnScaleFactor", 1),
      ("use_swa", true), ("hc_mult", 4), ("mHC", true), ("zero_centered_gamma", true),
      ("token_shift", true), ("hyper_connections", 4),
      // 0 is a bound like any other, and a string that is no number is a choice.
      ("linear_attn_config.gate_lower_bound", 0), ("expert_layer_norm", "pre"),
      // Objects of any name are looked into.
      ("extra.deep.gate_clamp", 3), ("attention_config.anything", 1),
      ("text_config.gate_lower_bound", .number(-5.0)), ("text_config.num_experts", 9),
      ("text_config.linear_attn_config.gate_lower_bound", .number(-5.0)),
    ] as [(String, JSONValue)])
  func `a key that speaks of computation counts`(path: String, value: JSONValue) throws {
    let keys = try unknown(path, value)
    // Of an object that contradicts the root, the whole is named as well.
    #expect(keys.consequential.first?.path == path, "\(keys)")
    #expect(keys.consequential.count == 1 || path.hasPrefix("text_config."))
  }

  @Test(
    arguments: [
      ("linear_attn_config.gate_lower_bound", .null), ("mla_use_output_gate", false),
      ("attn_logit_softcapping", .null), ("sliding_window", .null), ("use_sliding_window", false),
      ("attn_logit_softcapping", 0), ("num_mtp_modules", 0), ("residual_multiplier", .number(1.0)),
      ("lm_head_multiplier", 1), ("attention_out_multiplier", 1),
      ("mtp_config", ["enabled": false, "num_layers": 0]), ("attention_sinks", []),
      ("activation_situ_beta", .null), ("norm_type", "rmsnorm"), ("norm_type", "RMSNorm"),
      ("rope_parameters", ["rope_theta": 10000, "rope_type": "default"]),
      ("rope_parameters.full_attention", ["rope_theta": 10000, "rope_type": "default"]),
    ] as [(String, JSONValue)])
  func `a value that means "not there" does not count`(path: String, value: JSONValue) throws {
    #expect(try unknown(path, value).consequential.isEmpty)
  }

  @Test(
    arguments: [
      "dtype", "torch_dtype", "transformers_version", "_name_or_path", "auto_map", "use_cache",
      "rope_theta", "head_dim", "initializer_range", "attention_dropout", "output_attentions",
      "output_router_logits", "router_aux_loss_coef", "aux_loss_alpha", "pretraining_tp",
      "id2label",
      "_attn_implementation", "chunk_size_feed_forward", "unsloth_version", "pad_token_id",
      "return_dict", "is_decoder", "top_k", "temperature", "qk_head_dim",
    ])
  func `what libraries and trainers write is known`(key: String) throws {
    let keys = try unknown(key, "some")
    #expect(keys.consequential.isEmpty && keys.others.isEmpty)
  }

  @Test(
    arguments: [
      "wandb_run", "dataset_version", "license", "aggregate_id", "my_notes", "moe_z_loss_weight",
      "expert_dropout", "router_aux_coef", "router_z_coef", "embedding_init_std", "gate_lr",
    ])
  func `other keys are only listed`(key: String) throws {
    let keys = try unknown(key, "some")
    #expect(keys.consequential.isEmpty && keys.others.map(\.path) == [key])
  }

  @Test func `objects in arrays are looked into`() throws {
    let found = try unknown("foo", [["gate_bound": 1], ["run": "a", "parts": [["gate": 2]]]])
    #expect(found.consequential.map(\.path) == ["foo[0].gate_bound", "foo[1].parts[0].gate"])
    let gates = try unknown("gates", [["name": 3], ["other": false]])
    #expect(gates.consequential.map(\.path) == ["gates[0].name"])
    let none = try unknown("foo", [["run": "a"], 3])
    #expect(none.consequential.isEmpty && none.others.map(\.path) == ["foo[0].run"])
  }

  @Test func `the parts of linear attention in the text part are named once`() throws {
    let found = try unknown(
      "text_config.linear_attn_config", ["gate_lower_bound": -5, "num_heads": 99])
    #expect(
      found.consequential.map(\.path) == [
        "text_config.linear_attn_config.gate_lower_bound",
        "text_config.linear_attn_config.num_heads",
      ])
  }

  @Test func `two names of one thing must agree`() throws {
    func refusal(_ path: String, _ value: JSONValue) -> String? {
      do {
        _ = try ModelConfiguration(
          JSONField(file: "config.json", root: Self.sound.setting(path, to: value)))
        return nil
      } catch {
        return "\(error)"
      }
    }
    #expect(refusal("num_experts_per_tok", 2) == nil)
    #expect(refusal("num_experts_per_tok", 1)?.contains("num_experts_per_tok") == true)
    #expect(refusal("num_local_experts", 5)?.contains("\"num_experts\" is 4") == true)
    #expect(refusal("linear_head_dim", 32)?.contains("linear_head_dim") == true)
    let types: JSONValue = ["linear_attention", "full_attention", "full_attention"]
    #expect(refusal("layer_types", types)?.contains("layer_types") == true)
    #expect(refusal("rope_parameters", ["rope_type": "yarn"])?.contains("yarn") == true)
  }
}

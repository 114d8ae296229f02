// SPDX-License-Identifier: Apache-2.0

/// The keys of `config.json` whose meaning is known, by the object that they stand in.
///
/// Sources: the released configuration of the family and its `configuration_kimi.py`, `kimi_linear` and
/// `PreTrainedConfig` of transformers 4 and 5, and what trainers write into a configuration.
enum KnownKeys {
  /// Keys that `ModelConfiguration` reads, in either dialect: their values are honored, or refused.
  static let used: Set<String> = [
    "architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size",
    "num_hidden_layers", "rms_norm_eps", "hidden_act", "tie_word_embeddings",
    "num_attention_heads", "num_key_value_heads", "q_lora_rank", "kv_lora_rank",
    "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "mla_use_nope", "attention_bias",
    "rope_scaling", "rope_parameters", "linear_attn_config", "layer_types", "linear_num_heads",
    "linear_head_dim", "linear_conv_kernel_dim", "first_k_dense_replace", "moe_layer_freq",
    "mlp_layer_types", "num_experts", "num_local_experts", "num_experts_per_token",
    "num_experts_per_tok", "num_shared_experts", "n_shared_experts", "moe_intermediate_size",
    "num_expert_group", "n_group", "topk_group", "use_grouped_topk", "topk_method",
    "moe_renormalize", "norm_topk_prob", "moe_router_activation_func", "scoring_func",
    "routed_scaling_factor", "num_nextn_predict_layers", "quantization_config",
    "model_max_length", "max_position_embeddings", "eos_token_id",
  ]

  /// Keys of `linear_attn_config`.
  static let linearAttention: Set<String> = [
    "num_heads", "head_dim", "short_conv_kernel_size", "kda_layers", "full_attn_layers",
  ]

  /// Keys of `rope_parameters`, without effect where nothing is rotated; `ModelConfiguration`
  /// refuses types that scale attention.
  static let rotary: Set<String> = ["rope_theta", "rope_type", "type", "partial_rotary_factor"]

  /// Keys that do not change what a forward pass computes.
  static let harmless: Set<String> = [
    // Rotation, which this family does not have, and widths that follow from others.
    "rope_theta", "rope_interleave", "partial_rotary_factor", "head_dim", "qk_head_dim",
    "original_max_position_embeddings", "max_sequence_length", "seq_length",
    // Training.
    "initializer_range", "initializer_factor", "pretraining_tp", "ep_size", "aux_loss_alpha",
    "seq_aux", "router_aux_loss_coef", "router_z_loss_coef", "router_jitter_noise",
    "attention_dropout", "hidden_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob",
    "classifier_dropout", "gradient_checkpointing", "use_bfloat16", "unsloth_version",
    "unsloth_fixed",
    // Which implementation computes it.
    "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
    "_attn_implementation_internal", "experts_implementation", "_experts_implementation",
    "_experts_implementation_internal", "attn_mode", "fuse_norm", "fuse_swiglu",
    "fuse_cross_entropy", "fuse_linear_cross_entropy", "use_l2warp", "use_cache", "torchscript",
    "chunk_size_feed_forward", "tf_legacy_loss",
    // Where it came from and how it is loaded.
    "_name_or_path", "_commit_hash", "_from_model_config", "transformers_version",
    "transformers_weights", "auto_map", "custom_pipelines", "dtype", "torch_dtype",
    "tokenizer_class", "name_or_path", "base_model_name_or_path", "is_encoder_decoder",
    "is_decoder", "tie_encoder_decoder",
    // What comes out besides logits, and labels.
    "return_dict", "output_hidden_states", "output_attentions", "output_router_logits",
    "output_past", "output_scores", "return_dict_in_generate", "id2label", "label2id",
    "num_labels", "problem_type", "finetuning_task", "task_specific_params", "prefix",
    // Tokens and generation.
    "bos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "unk_token_id",
    "mask_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id",
    "max_length", "min_length", "max_new_tokens", "do_sample", "early_stopping", "num_beams",
    "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences",
    "exponential_decay_length_penalty", "remove_invalid_values", "suppress_tokens",
    "begin_suppress_tokens",
  ]
}

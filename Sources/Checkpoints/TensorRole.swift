// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// What a tensor does in the model, told by its name in the released dialect.
///
/// Reports are grouped by role and recipes choose schemes by role. Source: the tensor table of
/// the released checkpoints, which `TensorInventory` has in full.
package enum TensorRole: String, CaseIterable, Sendable {
  case embedding
  case head
  /// Every RMSNorm weight, those inside the attention included.
  case norm
  /// KDA q, k, v and o.
  case kdaProjection = "kda_projection"
  /// KDA f_a, f_b, g_a, g_b and b: small, and the recurrence compounds their error.
  case kdaGate = "kda_gate"
  /// KDA short convolutions over q, k and v.
  case kdaConvolution = "kda_convolution"
  /// KDA A_log and dt_bias.
  case kdaParameter = "kda_parameter"
  /// MLA q (or q_a, q_b), kv_a, kv_b and o.
  case mlaProjection = "mla_projection"
  case router
  case routerBias = "router_bias"
  case routedExpert = "routed_expert"
  case sharedExpert = "shared_expert"
  case denseMLP = "dense_mlp"
  /// A tensor that this version of Kiln does not know; it is carried along untouched.
  case other

  /// Whether a recipe may quantize tensors of this role.
  ///
  /// Never: norms, the router, convolutions and everything that sets the gates of the recurrence.
  /// Together they are less than a thousandth of the weights.
  package var isQuantizable: Bool {
    switch self {
    case .embedding, .head, .kdaProjection, .mlaProjection, .routedExpert, .sharedExpert, .denseMLP:
      true
    case .norm, .kdaGate, .kdaConvolution, .kdaParameter, .router, .routerBias, .other:
      false
    }
  }

  /// The role of a tensor.
  ///
  /// - Parameters:
  ///   - name: Its name in the released dialect.
  ///   - isLinearAttention: Whether layer `n` is a KDA layer; q, o and others have the same names
  ///     in both kinds of layer.
  package init(name: ExactString, isLinearAttention: (_ layer: Int) -> Bool) {
    switch name.text {
    case "model.embed_tokens.weight": self = .embedding
    case "lm_head.weight": self = .head
    case "model.norm.weight": self = .norm
    default:
      let parts = name.components
      guard parts.count >= 5, parts[0] == "model", parts[1] == "layers", let layer = Int(parts[2])
      else {
        self = .other
        return
      }
      self = Self.inLayer(parts[3...], isLinearAttention: isLinearAttention(layer))
    }
  }

  private static func inLayer(
    _ parts: ArraySlice<Substring>, isLinearAttention: Bool
  ) -> TensorRole {
    let parts = Array(parts)
    switch (parts[0], parts[1]) {
    case ("input_layernorm", "weight"), ("post_attention_layernorm", "weight"): return .norm
    case ("self_attn", let part): return attention(part, isLinearAttention: isLinearAttention)
    case ("mlp", "gate_proj"), ("mlp", "up_proj"), ("mlp", "down_proj"): return .denseMLP
    case ("block_sparse_moe", "experts"): return .routedExpert
    case ("block_sparse_moe", "shared_experts"): return .sharedExpert
    case ("block_sparse_moe", "gate"):
      return parts.last == "weight" ? .router : .routerBias
    default: return .other
    }
  }

  private static func attention(_ part: Substring, isLinearAttention: Bool) -> TensorRole {
    switch part {
    case "o_norm", "q_a_layernorm", "kv_a_layernorm": .norm
    case "A_log", "dt_bias": .kdaParameter
    case "q_conv1d", "k_conv1d", "v_conv1d": .kdaConvolution
    case "f_a_proj", "f_b_proj", "g_a_proj", "g_b_proj", "b_proj": .kdaGate
    case "q_proj", "o_proj": isLinearAttention ? .kdaProjection : .mlaProjection
    case "k_proj", "v_proj": .kdaProjection
    case "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj": .mlaProjection
    default: .other
    }
  }
}

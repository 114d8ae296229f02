// SPDX-License-Identifier: Apache-2.0

import Checkpoints
package import Kernels
package import TensorCore

/// The weights of a model, by place in the computation.
///
/// Matrices stay where they are stored; only vectors and convolutions, less than a thousandth of a
/// model, are held in float32.
package struct ModelWeights: Sendable {
  /// `[vocabulary, d]`.
  package let embedding: EncodedTensor
  /// First to last.
  package let layers: [Layer]
  /// `[d]`.
  package let finalNorm: [Float]
  /// `[vocabulary, d]`; the embedding itself if the two are tied.
  package let head: EncodedTensor

  /// One layer.
  package struct Layer: Sendable {
    /// `[d]`, before the attention.
    package let inputNorm: [Float]
    /// `[d]`, before the feed-forward part.
    package let feedForwardNorm: [Float]
    /// What mixes tokens.
    package let attention: Attention
    /// What works on each token alone.
    package let feedForward: FeedForward
  }

  /// Either kind of attention.
  package enum Attention: Sendable {
    /// Kimi Delta Attention.
    case linear(LinearAttentionWeights)
    /// Multi-head Latent Attention.
    case latent(LatentAttentionWeights)
  }

  /// Either kind of feed-forward part.
  package enum FeedForward: Sendable {
    case dense(FeedForwardWeights)
    case experts(ExpertWeights)
  }
}

/// Kimi Delta Attention: projections `[H*K, d]`, gates of low rank, convolutions.
package struct LinearAttentionWeights: Sendable {
  package let query: EncodedTensor
  package let key: EncodedTensor
  package let value: EncodedTensor
  /// Convolutions over `H*K` channels each.
  package let queryConvolution: ShortConvolutionWeights
  package let keyConvolution: ShortConvolutionWeights
  package let valueConvolution: ShortConvolutionWeights
  /// Forget gate, `[K, d]` then `[H*K, K]`.
  package let forgetDown: EncodedTensor
  package let forgetUp: EncodedTensor
  /// Output gate, `[K, d]` then `[H*K, K]`.
  package let gateDown: EncodedTensor
  package let gateUp: EncodedTensor
  /// Strength of the update, `[H, d]`.
  package let beta: EncodedTensor
  /// `A_log`, one a head.
  package let logDecayRate: [Float]
  /// `dt_bias`, `[H*K]`.
  package let decayBias: [Float]
  /// `o_norm`, `[K]`.
  package let outputNorm: [Float]
  /// `[d, H*K]`.
  package let output: EncodedTensor
}

/// Multi-head Latent Attention.
package struct LatentAttentionWeights: Sendable {
  /// Queries from the hidden state, or from its low-rank form.
  package let query: EncodedTensor
  /// The low-rank form, `[rank, d]`, and its norm; nil if queries are projected directly.
  package let queryDown: EncodedTensor?
  package let queryNorm: [Float]
  /// `[latent + rope, d]`.
  package let latentDown: EncodedTensor
  /// `[latent]`.
  package let latentNorm: [Float]
  /// `[heads * (nope + value), latent]`.
  package let latentUp: EncodedTensor
  /// `[d, heads * value]`.
  package let output: EncodedTensor
}

/// Router, routed experts and shared experts of a layer.
package struct ExpertWeights: Sendable {
  /// `[E, d]`.
  package let gate: EncodedTensor
  /// How experts are chosen.
  package let router: Router
  /// Routed experts.
  package let experts: [FeedForwardWeights]
  /// Shared experts as one wide layer; nil if there are none.
  package let shared: FeedForwardWeights?
}

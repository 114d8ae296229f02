// SPDX-License-Identifier: Apache-2.0

/// The dimensions and choices of a Kimi Linear model, from `config.json`.
///
/// Both dialects give the same value: the released one with `linear_attn_config`, and the one of
/// transformers with `layer_types` (`ModelConfiguration+Parsing.swift`).
package struct ModelConfiguration: Sendable, Equatable {
  /// Rows of the embedding and of the head.
  package let vocabularySize: Int
  /// Width of the residual stream, `d`.
  package let hiddenSize: Int
  /// One entry a layer, first to last.
  package let layers: [Layer]
  /// Width of the dense feed-forward layers.
  package let intermediateSize: Int
  /// Epsilon of the RMSNorms but those of the latents.
  package let normEpsilon: Float
  /// Whether the head is the embedding matrix.
  package fileprivate(set) var tiesEmbeddings: Bool
  /// Kimi Delta Attention; nil if no layer has it.
  package let linearAttention: LinearAttention?
  /// Multi-head Latent Attention; nil if no layer has it.
  package let latentAttention: LatentAttention?
  /// Mixture of experts; nil if no layer has it.
  package let experts: Experts?
  /// The longest context that the model was made for, in tokens, if it says so.
  package let maximumContext: Int?
  /// The architecture that the runtime computes.
  static let knownArchitecture = "KimiLinearForCausalLM"

  /// Name of the architecture, for reports.
  package let architecture: String

  /// What one layer is made of.
  package struct Layer: Sendable, Equatable {
    /// Kimi Delta Attention rather than Multi-head Latent Attention.
    package let isLinearAttention: Bool
    /// Mixture of experts rather than a dense feed-forward layer.
    package let hasExperts: Bool
  }

  /// Dimensions of Kimi Delta Attention.
  package struct LinearAttention: Sendable, Equatable {
    /// Number of heads, `H`.
    package let heads: Int
    /// Keys and values of a head, `K = V`.
    package let headDimension: Int
    /// Taps of the short convolutions.
    package let kernelSize: Int
    /// Width of q, k and v: `H * K`.
    package var width: Int { heads * headDimension }
    /// Numbers that a sequence of any length keeps: the state matrices and the last inputs of the
    /// convolutions.
    package var stateNumbers: Int {
      heads * headDimension * headDimension + 3 * width * (kernelSize - 1)
    }
  }

  /// Dimensions of Multi-head Latent Attention.
  package struct LatentAttention: Sendable, Equatable {
    /// Number of heads.
    package let heads: Int
    /// Rank of the query's low-rank form; nil if queries are projected directly.
    package let queryRank: Int?
    /// Length of the latent.
    package let latentRank: Int
    /// Part of a head's query and key that comes through the latent.
    package let nopeDimension: Int
    /// Part of the key that all heads share; never rotated in this family.
    package let ropeDimension: Int
    /// Values of a head.
    package let valueDimension: Int
    /// Query and key of a head.
    package var keyDimension: Int { nopeDimension + ropeDimension }
    /// What a latent is expanded to for a head: the nope part of its key, and its value.
    package var expandedDimension: Int { nopeDimension + valueDimension }
    /// Numbers that the cache keeps for a token.
    package var cacheWidth: Int { latentRank + ropeDimension }
  }

  /// Dimensions and rules of the mixture of experts.
  package struct Experts: Sendable, Equatable {
    /// Routed experts of a layer.
    package let count: Int
    /// Routed experts that a token goes to.
    package let perToken: Int
    /// Shared experts, which are one wide feed-forward layer.
    package let shared: Int
    /// Width of one expert.
    package let width: Int
    /// Groups that routed experts are divided into.
    package let groups: Int
    /// Groups that a token may choose from.
    package let groupsPerToken: Int
    /// Whether the weights of the chosen experts are brought to sum 1.
    package let renormalizes: Bool
    /// Factor on the weights of the chosen experts.
    package let scalingFactor: Float
  }

  /// The key and query latents' own epsilon, whatever `rms_norm_eps` says.
  package static let latentNormEpsilon: Float = 1e-6

  /// The same with another head than the document says.
  package func with(_ head: HeadChoice) -> ModelConfiguration {
    var configuration = self
    configuration.tiesEmbeddings = head == .tied
    return configuration
  }

  /// Layers with Kimi Delta Attention.
  package var linearLayerCount: Int { layers.count { $0.isLinearAttention } }
  /// Layers with Multi-head Latent Attention.
  package var latentLayerCount: Int { layers.count { !$0.isLinearAttention } }

  /// Whether layer `index` is a KDA layer; false beyond the last layer.
  package func isLinearAttention(layer index: Int) -> Bool {
    layers.indices.contains(index) && layers[index].isLinearAttention
  }
}

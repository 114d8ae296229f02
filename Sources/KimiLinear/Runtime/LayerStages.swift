// SPDX-License-Identifier: Apache-2.0

package import Kernels
package import TensorCore

/// The parts of a layer between its large matrices, for those who look at what each matrix gets or who
/// replace one after the other.
///
/// `Model.run` does the same in one go. Every sequence begins with an empty state.
package struct LayerStages: Sendable {
  private let configuration: ModelConfiguration
  private let kernel: KimiDeltaKernel
  private let workers: Workers

  /// - Parameters:
  ///   - configuration: The model.
  ///   - options: How to run it.
  package init(_ configuration: ModelConfiguration, options: Model.Options) {
    self.configuration = configuration
    kernel = options.kernel
    workers = options.workers
  }

  /// RMSNorm of hidden states `[N, d]`.
  package func normalized(_ hidden: Matrix, weight: [Float]) -> Matrix {
    RMSNorm.normalize(
      hidden, weight: weight, epsilon: configuration.normEpsilon, workers: workers)
  }

  /// The input of the attention's output projection, `[N, H * K]` or `[N, heads * value]`.
  ///
  /// - Parameters:
  ///   - input: Normalised hidden states, `[N, d]`.
  ///   - attention: The attention.
  ///   - sequences: The rows of each sequence.
  /// - Returns: One row for each row of the input.
  package func mixed(
    _ input: Matrix, _ attention: ModelWeights.Attention, sequences: [Range<Int>]
  ) -> Matrix {
    let packed = PackedRows(input, workers: workers)
    switch attention {
    case .linear(let weights):
      guard let dimensions = configuration.linearAttention else { return input }
      var states = sequences.map { _ in LinearAttentionState(dimensions) }
      return LinearAttentionLayer(
        weights: weights, dimensions: dimensions, normEpsilon: configuration.normEpsilon,
        kernel: kernel, workers: workers
      ).mix(packed, sequences: sequences, states: &states)
    case .latent(let weights):
      guard let layer = latentLayer(weights), let dimensions = configuration.latentAttention else {
        return input
      }
      var caches = sequences.map { _ in LatentCache(width: dimensions.cacheWidth) }
      return layer.mix(packed, sequences: sequences, caches: &caches)
    }
  }

  /// The input of MLA's query projection: `[N, d]`, or the low-rank form `[N, rank]`.
  package func queryInput(_ input: Matrix, _ weights: LatentAttentionWeights) -> Matrix {
    latentLayer(weights)?.queryInput(input) ?? input
  }

  /// The input of MLA's `kv_b_proj`: normalised latents, `[N, latent]`.
  package func latents(_ input: Matrix, _ weights: LatentAttentionWeights) -> Matrix {
    guard let layer = latentLayer(weights), let dimensions = configuration.latentAttention else {
      return input
    }
    return layer.project(PackedRows(input, workers: workers)).latents.block(
      rows: 0..<input.rows, columns: 0..<dimensions.latentRank)
  }

  /// The experts of each token.
  package func choices(_ input: Matrix, _ weights: ExpertWeights) -> RoutedTokens {
    let logits = WeightProduct.multiply(input, by: weights.gate, workers: workers)
    return weights.router.choose(logits, workers: workers)
  }

  /// A whole layer.
  ///
  /// - Parameters:
  ///   - hidden: Hidden states before the layer, `[N, d]`.
  ///   - layer: Its weights.
  ///   - sequences: The rows of each sequence.
  /// - Returns: Hidden states behind the layer, `[N, d]`.
  package func run(
    _ hidden: Matrix, through layer: ModelWeights.Layer, sequences: [Range<Int>]
  ) -> Matrix {
    let mixed = mixed(
      normalized(hidden, weight: layer.inputNorm), layer.attention, sequences: sequences)
    var hidden = hidden
    WeightProduct.add(
      PackedRows(mixed, workers: workers), by: layer.attention.output, to: &hidden,
      workers: workers)
    let input = normalized(hidden, weight: layer.feedForwardNorm)
    var members: [FeedForwardMember] = []
    switch layer.feedForward {
    case .dense(let weights): members = [weights.member(ofAll: input.rows)]
    case .experts(let weights):
      members = choices(input, weights).members(weights.experts)
      if let shared = weights.shared { members.append(shared.member(ofAll: input.rows)) }
    }
    FeedForwardMixture.add(input, through: members, to: &hidden, workers: workers)
    return hidden
  }

  private func latentLayer(_ weights: LatentAttentionWeights) -> LatentAttentionLayer? {
    configuration.latentAttention.map {
      LatentAttentionLayer(
        weights: weights, dimensions: $0, normEpsilon: configuration.normEpsilon, workers: workers)
    }
  }
}

extension ModelWeights.Attention {
  /// The output projection.
  package var output: EncodedTensor {
    switch self {
    case .linear(let weights): weights.output
    case .latent(let weights): weights.output
    }
  }
}

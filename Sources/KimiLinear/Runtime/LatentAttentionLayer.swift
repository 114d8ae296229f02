// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Multi-head Latent Attention of one layer, from the normalised hidden state to its contribution.
struct LatentAttentionLayer {
  let weights: LatentAttentionWeights
  let dimensions: ModelConfiguration.LatentAttention
  let normEpsilon: Float
  let workers: Workers

  /// - Parameters:
  ///   - input: `[N, d]`, all sequences one after the other.
  ///   - sequences: The rows of each.
  ///   - caches: One for each sequence; the new tokens are appended.
  /// - Returns: `[N, d]`.
  func apply(_ input: Matrix, sequences: [Range<Int>], caches: inout [LatentCache]) -> Matrix {
    var query = input
    if let down = weights.queryDown {
      query = RMSNorm.normalize(
        WeightProduct.multiply(input, by: down, workers: workers), weight: weights.queryNorm,
        epsilon: ModelConfiguration.latentNormEpsilon, workers: workers)
    }
    let queries = WeightProduct.multiply(query, by: weights.query, workers: workers)
    var latents = WeightProduct.multiply(input, by: weights.latentDown, workers: workers)
    RMSNorm.normalize(
      &latents, columns: 0..<dimensions.latentRank, weight: weights.latentNorm,
      epsilon: ModelConfiguration.latentNormEpsilon, workers: workers)
    for (index, rows) in sequences.enumerated() { caches[index].append(latents, rows: rows) }

    let attention = LatentAttention(
      heads: dimensions.heads, rank: dimensions.latentRank,
      nopeDimension: dimensions.nopeDimension, ropeDimension: dimensions.ropeDimension,
      valueDimension: dimensions.valueDimension)
    let mixed = attention.attend(
      queries: queries, upProjection: weights.latentUp,
      sequences: zip(sequences, caches).map { rows, cache in
        LatentAttention.Sequence(rows: rows, cache: cache.rows)
      },
      workers: workers)
    return WeightProduct.multiply(mixed, by: weights.output, workers: workers)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Multi-head Latent Attention of one layer, from the normalised hidden state to its contribution.
struct LatentAttentionLayer {
  let weights: LatentAttentionWeights
  let dimensions: ModelConfiguration.LatentAttention
  let normEpsilon: Float
  let workers: Workers

  /// Adds the layer's output to the residual stream.
  ///
  /// - Parameters:
  ///   - input: `[N, d]`, all sequences one after the other.
  ///   - sequences: The rows of each.
  ///   - caches: One for each sequence; the new tokens are appended.
  ///   - hidden: `[N, d]`.
  func apply(
    _ input: PackedRows, sequences: [Range<Int>], caches: inout [LatentCache],
    adding hidden: inout Matrix
  ) {
    let mixed = mix(input, sequences: sequences, caches: &caches)
    WeightProduct.add(
      PackedRows(mixed, workers: workers), by: weights.output, to: &hidden, workers: workers)
  }

  /// Everything but the output projection: its input, `[N, heads * value]`.
  func mix(
    _ input: PackedRows, sequences: [Range<Int>], caches: inout [LatentCache]
  ) -> Matrix {
    let (queries, latents) = project(input)
    for (index, rows) in sequences.enumerated() { caches[index].append(latents, rows: rows) }
    let attention = LatentAttention(
      heads: dimensions.heads, rank: dimensions.latentRank,
      nopeDimension: dimensions.nopeDimension, ropeDimension: dimensions.ropeDimension,
      valueDimension: dimensions.valueDimension)
    return attention.attend(
      queries: queries, upProjection: weights.latentUp,
      sequences: zip(sequences, caches).map { rows, cache in
        LatentAttention.Sequence(rows: rows, cache: cache.rows)
      },
      workers: workers)
  }

  /// Queries `[N, heads * (nope + rope)]` and normalised latents with shared keys `[N, rank + rope]`.
  func project(_ input: PackedRows) -> (queries: Matrix, latents: Matrix) {
    var products = WeightProduct.multiply(
      input, by: [weights.latentDown, weights.queryDown ?? weights.query], workers: workers)
    RMSNorm.normalize(
      &products[0], columns: 0..<dimensions.latentRank, weight: weights.latentNorm,
      epsilon: ModelConfiguration.latentNormEpsilon, workers: workers)
    guard weights.queryDown != nil else { return (products[1], products[0]) }
    let query = RMSNorm.pack(
      products[1], weight: weights.queryNorm, epsilon: ModelConfiguration.latentNormEpsilon,
      workers: workers)
    return (WeightProduct.multiply(query, by: weights.query, workers: workers), products[0])
  }

  /// The input of the query projection: the input itself, or its low-rank form, normalised.
  func queryInput(_ input: Matrix) -> Matrix {
    guard let down = weights.queryDown else { return input }
    return RMSNorm.normalize(
      WeightProduct.multiply(input, by: down, workers: workers), weight: weights.queryNorm,
      epsilon: ModelConfiguration.latentNormEpsilon, workers: workers)
  }
}

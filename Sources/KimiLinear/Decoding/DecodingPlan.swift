// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// All layers of a model as a decoder goes through them: addresses of weights, places of numbers.
///
/// Plain values without references: members of the team look at them all the time, and would wait for
/// each other if that counted references.
struct DecodingPlan: Sendable {
  let layers: [Layer]
  /// Blocks of rows of all phases; layers hold ranges of it.
  let blocks: [RowBlock]
  /// Routed experts of all layers.
  let experts: [GatedMatrices]
  /// How experts are chosen, one for each layer that has some.
  let routers: [Router]
  let embedding: EncodedTensor
  let finalNorm: Range<Int>
  let head: Range<Int>
  let places: CommonPlaces
  /// Bytes of weights that a token reads.
  let weightByteCount: Int

  struct Layer: Sendable {
    let inputNorm: Range<Int>
    let feedForwardNorm: Range<Int>
    let attention: Attention
    let feedForward: FeedForward
  }

  enum Attention: Sendable {
    case linear(LinearPlan)
    case latent(LatentPlan)
  }

  enum FeedForward: Sendable {
    case dense(GatedMatrices)
    case experts(ExpertsPlan)
  }

  /// KDA: q, k and v in a ring of their last inputs, gates, state.
  struct LinearPlan: Sendable {
    /// q, k, v of one row of the ring, f_a, g_a and b; the first are placed in row 0 of the ring.
    let projections: Range<Int>
    let ring: ConvolutionRing
    /// Taps of a head, q, k and v: `[H, 3, kernel, K]`.
    let taps: Range<Int>
    let forgetUp: StoredMatrix
    let gateUp: StoredMatrix
    /// exp(A_log), `[H]`.
    let decayRates: Range<Int>
    let decayBias: Range<Int>
    let outputNorm: Range<Int>
    /// `[H, K, V]`.
    let state: Range<Int>
    let output: Range<Int>
  }

  /// MLA: queries, latent cache.
  struct LatentPlan: Sendable {
    /// Number among the MLA layers: which cache.
    let cache: Int
    /// Low-rank queries and the latent; or queries and the latent.
    let projections: Range<Int>
    /// Queries from their low-rank form; empty if they are projected directly.
    let queryUp: Range<Int>
    let queryNorm: Range<Int>
    let latentNorm: Range<Int>
    let up: StoredMatrix
    let output: Range<Int>
  }

  struct ExpertsPlan: Sendable {
    /// Number among the layers with experts: which router.
    let router: Int
    let gate: Range<Int>
    /// Where the experts of this layer begin.
    let firstExpert: Int
    /// I: rows of gate and up of every expert.
    let width: Int
    let perToken: Int
    let shared: GatedMatrices?
    /// Rows of gate and up of one expert that one member takes at a time.
    let rowsPerItem: Int
    /// Rows of down of all experts of a token that one member takes at a time.
    let rowsPerSum: Int
  }

  /// The matrices of a gated feed-forward layer.
  struct GatedMatrices: Sendable {
    let gate: StoredMatrix
    let up: StoredMatrix
    let down: StoredMatrix

    /// Rows of gate and up that one member takes at a time.
    let rowsPerItem: Int
    /// Rows of down that it takes.
    let rowsPerSum: Int

    init(_ weights: FeedForwardWeights, _ blockSize: BlockSize) {
      gate = StoredMatrix(weights.gate)
      up = StoredMatrix(weights.up)
      down = StoredMatrix(weights.down)
      rowsPerItem = blockSize.rowCount(
        rows: gate.rows, rowByteCount: gate.rowByteCount + up.rowByteCount)
      rowsPerSum = blockSize.rowCount(rows: down.rows, rowByteCount: down.rowByteCount)
    }

    var byteCount: Int { [gate, up, down].reduce(0) { $0 + $1.rows * $1.rowByteCount } }
  }

  /// Places that all layers share, one layer after the other.
  struct CommonPlaces: Sendable {
    /// The residual stream, `[d]`.
    let hidden: Range<Int>
    let logits: Range<Int>
    /// f_a, g_a and b of KDA: `[K]`, `[K]`, `[H]`.
    let forgetDown: Range<Int>
    let gateDown: Range<Int>
    let beta: Range<Int>
    /// What attention gives before the output projection.
    let mixed: Range<Int>
    /// MLA: low-rank queries, queries, latent with shared key, absorbed queries, results of segments.
    let queryDown: Range<Int>
    let queries: Range<Int>
    let latent: Range<Int>
    let absorbed: Range<Int>
    let partials: Range<Int>
    /// Router outputs, and activations of the chosen experts, shared ones last: `[slots, width]`.
    let routing: Range<Int>
    let activations: Range<Int>
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels
package import KimiLinear
import TensorCore

/// What a model cannot do without: floating-point operations of a prefill, bytes of a decoded token.
///
/// Only what every implementation has to do is counted, so that a share of a ceiling is never flattered:
/// products with weights, the recurrence of KDA, the convolutions, and causal attention without what is masked. A
/// multiplication and an addition are two operations. Norms, activations, softmax and the choice of experts are
/// not counted.
///
/// For each token, with hidden size d and, of KDA, H heads with K channels and kernel size c:
///
/// | part | operations |
/// |---|---|
/// | KDA layer | 2 d HK (q, k, v, o: 4 times) + 2 (d K + K HK) (two gates) + 2 d H + 2 c HK (3 times) + 6 K K H |
/// | MLA layer | 2 (d a + ...) for all projections, and 2 heads (nope + rope + value) for each token that it attends to |
/// | router | 2 d E |
/// | experts | 6 d w for each chosen expert of width w, and for the shared one |
/// | dense | 6 d i |
/// | head | 2 d V |
///
/// The recurrence needs three products with the state, 6 K K for a head: its decay can be kept apart.
/// In a prefill latents are expanded (`kv_b_proj`, once a token). A decoded token absorbs that projection, and
/// attends in latent space: 2 heads (2 rank + rope) for each token that it attends to.
package struct ModelCost: Sendable {
  private let configuration: ModelConfiguration
  private let weights: ModelWeights

  /// The cost of a model as it is stored.
  package init(_ model: Model) {
    configuration = model.configuration
    weights = model.weights
  }

  // MARK: - Operations

  /// Operations of a prefill from an empty state.
  ///
  /// - Parameters:
  ///   - tokens: Length of each sequence.
  ///   - sequences: How many there are.
  /// - Returns: Operations of each part, logits of all tokens included.
  package func prefillOperations(tokens: Int, sequences: Int) -> [ModelPart: Double] {
    let count = Double(tokens) * Double(sequences)
    var operations = tokenOperations.mapValues { $0 * count }
    if let latent = configuration.latentAttention {
      // Token t attends to t + 1 tokens.
      let attended = Double(tokens) * Double(tokens + 1) / 2 * Double(sequences)
      let each = 2 * latent.heads * (latent.keyDimension + latent.valueDimension)
      let expansion = 2 * latent.latentRank * latent.heads * latent.expandedDimension
      operations[.mla, default: 0] +=
        Double(configuration.latentLayerCount)
        * (Double(each) * attended + Double(expansion) * count)
    }
    return operations
  }

  /// Operations of one token behind a context, itself included.
  package func decodeOperations(context: Int) -> Double {
    var total = tokenOperations.values.reduce(0, +)
    if let latent = configuration.latentAttention {
      let absorbed = 2 * latent.heads * latent.latentRank * latent.expandedDimension
      let each = 2 * latent.heads * (latent.latentRank + latent.cacheWidth)
      total +=
        Double(configuration.latentLayerCount)
        * (Double(absorbed) + Double(each) * Double(context + 1))
    }
    return total
  }

  /// What does not depend on a token's position, without the expansion of latents.
  private var tokenOperations: [ModelPart: Double] {
    let hidden = configuration.hiddenSize
    var operations: [ModelPart: Int] = [.head: 2 * hidden * configuration.vocabularySize]
    if let kda = configuration.linearAttention, configuration.linearLayerCount > 0 {
      let gates = 2 * (hidden * kda.headDimension + kda.headDimension * kda.width)
      let layer =
        4 * 2 * hidden * kda.width + 2 * gates + 2 * hidden * kda.heads
        + 3 * 2 * kda.kernelSize * kda.width
        + 6 * kda.heads * kda.headDimension * kda.headDimension
      operations[.kda] = configuration.linearLayerCount * layer
    }
    if let mla = configuration.latentAttention, configuration.latentLayerCount > 0 {
      let queryWidth = mla.heads * mla.keyDimension
      let query = mla.queryRank.map { hidden * $0 + $0 * queryWidth } ?? hidden * queryWidth
      let layer =
        2 * (query + hidden * mla.cacheWidth + mla.heads * mla.valueDimension * hidden)
      operations[.mla] = configuration.latentLayerCount * layer
    }
    if let experts = configuration.experts {
      let layers = configuration.layers.count { $0.hasExperts }
      let chosen = experts.perToken + experts.shared
      operations[.router] = layers * 2 * hidden * experts.count
      operations[.experts] = layers * 6 * hidden * experts.width * chosen
    }
    let denseLayers = configuration.layers.count { !$0.hasExperts }
    if denseLayers > 0 {
      operations[.dense] = denseLayers * 6 * hidden * configuration.intermediateSize
    }
    return operations.mapValues(Double.init)
  }

  // MARK: - Bytes

  /// Bytes of stored weights that one token needs: everything but the embedding, of which it needs one row,
  /// and the experts that it does not go to.
  package var activeWeightByteCount: Int {
    let row = weights.embedding.region.byteCount / max(configuration.vocabularySize, 1)
    return weights.layers.reduce(row + weights.head.region.byteCount) { total, layer in
      total + byteCount(layer.attention) + byteCount(layer.feedForward)
    }
  }

  /// Bytes that a sequence keeps and every token reads: states of KDA, latents of all tokens so far.
  package func stateByteCount(context: Int) -> Int {
    configuration.stateNumbers(tokens: context) * MemoryLayout<Float>.stride
  }

  private func byteCount(_ attention: ModelWeights.Attention) -> Int {
    switch attention {
    case .linear(let weights):
      [
        weights.query, weights.key, weights.value, weights.forgetDown, weights.forgetUp,
        weights.gateDown, weights.gateUp, weights.beta, weights.output,
      ].reduce(0) { $0 + $1.region.byteCount }
    case .latent(let weights):
      [weights.query, weights.latentDown, weights.latentUp, weights.output].reduce(
        weights.queryDown?.region.byteCount ?? 0
      ) { $0 + $1.region.byteCount }
    }
  }

  private func byteCount(_ part: ModelWeights.FeedForward) -> Int {
    switch part {
    case .dense(let weights): byteCount(weights)
    case .experts(let weights):
      weights.gate.region.byteCount + (weights.shared.map(byteCount) ?? 0)
        + weights.experts.reduce(0) { $0 + byteCount($1) } / max(weights.experts.count, 1)
        * (configuration.experts?.perToken ?? 0)
    }
  }

  private func byteCount(_ weights: FeedForwardWeights) -> Int {
    [weights.gate, weights.up, weights.down].reduce(0) { $0 + $1.region.byteCount }
  }
}

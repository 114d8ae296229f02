// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

extension Decoder {
  /// Goes on with a sequence that `Model.run` began.
  ///
  /// - Throws: `ModelError.contextFull`, or `.foreignState` if the state has other layers than this model; then
  ///   the decoder has no sequence that it could go on with.
  package func take(_ state: SequenceState) throws(ModelError) {
    guard state.tokenCount <= options.contextLimit else {
      throw .contextFull(model: model.name, limit: options.contextLimit)
    }
    guard state.layers.count == step.plan.layers.count else {
      throw .foreignState(model: model.name)
    }
    tokenCount = state.tokenCount
    for (layer, part) in zip(step.plan.layers, state.layers) {
      switch (layer.attention, part) {
      case (.linear(let plan), .linear(let state)): take(state, into: plan)
      case (.latent(let plan), .latent(let cache)): take(cache.rows, into: plan)
      default: throw .foreignState(model: model.name)
      }
    }
  }

  private func take(_ state: LinearAttentionState, into plan: DecodingPlan.LinearPlan) {
    step.memory.withMutable(plan.state) { $0.copy(from: state.delta.elements.span) }
    let parts = [state.queryConvolution, state.keyConvolution, state.valueConvolution]
    let (past, width) = (plan.ring.kernel - 1, plan.ring.channels / parts.count)
    for (index, part) in parts.enumerated() {
      for row in 0..<past {
        let start = plan.ring.row(tokenCount - past + row) + index * width
        step.memory.withMutable(start..<start + width) {
          $0.copy(from: part.elements.span.extracting(row * width..<(row + 1) * width))
        }
      }
    }
  }

  private func take(_ rows: Matrix, into plan: DecodingPlan.LatentPlan) {
    guard let dimensions = model.configuration.latentAttention else { return }
    let width = AbsorbedAttention(dimensions).width
    for row in 0..<rows.rows {
      step.caches[plan.cache].withMutable(row * width..<row * width + rows.columns) {
        $0.copy(from: rows.rowSpan(row))
      }
    }
  }

  /// Makes up a context, to measure what a token costs behind a long one.
  ///
  /// Latents, shared keys and inputs of convolutions are random with mean 0 and variance 1, which is
  /// what norms leave; states of KDA with a standard deviation of 0.1. Numbers follow from the seed
  /// and their place alone.
  ///
  /// - Parameters:
  ///   - tokens: Length of the context; what was there before is forgotten.
  ///   - seed: Of the random numbers.
  /// - Throws: `ModelError.contextFull`.
  package func fillSynthetically(tokens: Int, seed: UInt64) throws(ModelError) {
    guard (0...options.contextLimit).contains(tokens) else {
      throw .contextFull(model: model.name, limit: options.contextLimit)
    }
    tokenCount = tokens
    for (index, layer) in step.plan.layers.enumerated() {
      var noise = SyntheticNumbers(seed: seed &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15)
      switch layer.attention {
      case .linear(let plan):
        step.memory.withMutable(plan.state) { noise.fill(&$0, deviation: 0.1) }
        step.memory.withMutable(plan.ring.place) { noise.fill(&$0, deviation: 1) }
      case .latent(let plan):
        fill(step.caches[plan.cache], tokens: tokens, from: noise)
      }
    }
  }

  /// Forgets the latents of the tokens behind a context, to measure again what a token costs there.
  ///
  /// States of KDA stay what they are, so what follows is no text.
  ///
  /// - Precondition: The context is no longer than the sequence.
  package func rewind(to tokens: Int) {
    precondition((0...tokenCount).contains(tokens), "a context that is not here")
    tokenCount = tokens
  }

  private func fill(_ cache: SharedFloats, tokens: Int, from noise: SyntheticNumbers) {
    guard let dimensions = model.configuration.latentAttention else { return }
    let (width, used) = (AbsorbedAttention(dimensions).width, dimensions.cacheWidth)
    let rowsPerItem = 1024
    options.workers.forEach((tokens + rowsPerItem - 1) / rowsPerItem) { item in
      for row in item * rowsPerItem..<min((item + 1) * rowsPerItem, tokens) {
        var numbers = noise
        numbers.skip(toRow: row)
        cache.withMutable(row * width..<row * width + used) { numbers.fill(&$0, deviation: 1) }
      }
    }
  }
}

/// Random numbers of a uniform distribution.
private struct SyntheticNumbers: Sendable {
  private let seed: UInt64
  private var random: SplitMix64

  init(seed: UInt64) {
    self.seed = seed
    random = SplitMix64(seed: seed)
  }

  /// Goes to a stretch of numbers that no other row has.
  mutating func skip(toRow row: Int) {
    random = SplitMix64(
      seed: seed ^ (UInt64(truncatingIfNeeded: row + 1) &* 0xD1B5_4A32_D192_ED03))
  }

  /// Numbers of mean 0 and a given standard deviation.
  mutating func fill(_ numbers: inout MutableSpan<Float>, deviation: Float) {
    // A uniform distribution from -1 to 1 has a variance of a third.
    let factor = deviation * Float(3).squareRoot() * 0x1p-31
    for index in 0..<numbers.count {
      numbers[index] = Float(Int32(truncatingIfNeeded: random.next() >> 32)) * factor
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
package import Kernels
import SystemPackage
package import TensorCore

/// A Kimi Linear model that can be run: weights in place in a checkpoint, arithmetic in float32.
package struct Model: Sendable {
  /// What it is called in errors: the path of the checkpoint.
  package let name: String
  /// Its dimensions.
  package let configuration: ModelConfiguration
  /// Its weights.
  package let weights: ModelWeights

  /// How to run it.
  package struct Options: Sendable {
    /// Which form of the KDA kernel to use.
    package let kernel: KimiDeltaKernel
    /// Threads; results do not depend on their number.
    package let workers: Workers
    /// Told when a part has ended; nil for nobody.
    package let clock: PartClock?

    package init(kernel: KimiDeltaKernel, workers: Workers, clock: PartClock? = nil) {
      self.kernel = kernel
      self.workers = workers
      self.clock = clock
    }
  }

  /// Finds the weights in a checkpoint.
  ///
  /// Compressed tensors are unpacked into memory; all others stay where they are.
  ///
  /// - Parameters:
  ///   - checked: The checkpoint.
  ///   - workers: Threads that unpack.
  /// - Throws: What `CheckedCheckpoint.checkRunnable` throws, `ModelError.missingTensor`, `.compressedTooLarge`,
  ///   `.weightsNotFinite` for small tensors, or what is wrong with a compressed block.
  package init(_ checked: CheckedCheckpoint, workers: Workers = Workers(count: 1)) throws {
    try checked.checkRunnable(workers: workers)
    FreedMemory.keep()
    name = checked.checkpoint.path.string
    configuration = checked.configuration
    let unpacked = checked.tensors.tensors.filter(\.isCompressed).reduce(0) { $0 + $1.byteCount }
    guard unpacked <= PhysicalMemory.byteCount else {
      throw ModelError.compressedTooLarge(
        model: name, needed: unpacked, available: PhysicalMemory.byteCount)
    }
    if let found = try NonFiniteWeights(in: checked, scope: .small, workers: workers) {
      throw ModelError.weightsNotFinite(model: name, weights: found)
    }
    weights = try ModelWeights(
      checked.tensors, configuration: checked.configuration, model: name, workers: workers)
  }

  /// Runs tokens of one or more sequences through all layers.
  ///
  /// - Parameters:
  ///   - tokens: Ids of all sequences, one after the other, N in all.
  ///   - sequences: The part of `tokens` that belongs to each sequence.
  ///   - states: One for each sequence; brought up to date.
  ///   - options: How to run.
  /// - Returns: Hidden states after the final norm, `[N, d]`.
  /// - Throws: `ModelError.tokenOutOfRange`.
  package func run(
    _ tokens: [Int], sequences: [Range<Int>], states: inout [SequenceState], options: Options
  ) throws -> Matrix {
    var hidden = try embed(tokens, options)
    options.clock?.ended(.embedding)
    for (index, layer) in weights.layers.enumerated() {
      let normalized = RMSNorm.pack(
        hidden, weight: layer.inputNorm, epsilon: configuration.normEpsilon,
        workers: options.workers)
      attend(normalized, layer.attention, index, sequences, &states, adding: &hidden, options)
      options.clock?.ended(configuration.isLinearAttention(layer: index) ? .kda : .mla)
      let input = norm(hidden, layer.feedForwardNorm, options)
      feedForward(input, layer.feedForward, adding: &hidden, options)
      options.clock?.ended(configuration.layers[index].hasExperts ? .experts : .dense)
    }
    for (index, rows) in sequences.enumerated() { states[index].tokenCount += rows.count }
    return norm(hidden, weights.finalNorm, options)
  }

  /// Logits of some rows of the vocabulary.
  ///
  /// - Parameters:
  ///   - hidden: Hidden states after the final norm, `[N, d]`.
  ///   - vocabulary: Ids.
  ///   - workers: Threads.
  /// - Returns: `[N, vocabulary.count]`.
  package func logits(_ hidden: Matrix, vocabulary: Range<Int>, workers: Workers) -> Matrix {
    WeightProduct.multiply(hidden, by: weights.head, rows: vocabulary, workers: workers)
  }

  // MARK: - Parts of a layer

  private func embed(_ tokens: [Int], _ options: Options) throws -> Matrix {
    for id in tokens where !(0..<configuration.vocabularySize).contains(id) {
      throw ModelError.tokenOutOfRange(id: id, vocabularySize: configuration.vocabularySize)
    }
    return rows(of: weights.embedding, tokens, workers: options.workers)
  }

  private func norm(_ input: Matrix, _ weight: [Float], _ options: Options) -> Matrix {
    RMSNorm.normalize(
      input, weight: weight, epsilon: configuration.normEpsilon, workers: options.workers)
  }

  /// Adds the attention of one layer to the residual stream.
  private func attend(
    _ input: PackedRows, _ attention: ModelWeights.Attention, _ layer: Int,
    _ sequences: [Range<Int>], _ states: inout [SequenceState], adding hidden: inout Matrix,
    _ options: Options
  ) {
    switch attention {
    case .linear(let weights):
      guard let dimensions = configuration.linearAttention else { return }
      let attention = LinearAttentionLayer(
        weights: weights, dimensions: dimensions, normEpsilon: configuration.normEpsilon,
        kernel: options.kernel, workers: options.workers, clock: options.clock)
      var parts = states.indices.map {
        states[$0].lendLinear(layer) ?? LinearAttentionState(dimensions)
      }
      attention.apply(input, sequences: sequences, states: &parts, adding: &hidden)
      for index in states.indices { states[index].layers[layer] = .linear(parts[index]) }
    case .latent(let weights):
      guard let dimensions = configuration.latentAttention else { return }
      let attention = LatentAttentionLayer(
        weights: weights, dimensions: dimensions, normEpsilon: configuration.normEpsilon,
        workers: options.workers)
      var caches = states.indices.map {
        states[$0].lendLatent(layer) ?? LatentCache(width: dimensions.cacheWidth)
      }
      attention.apply(input, sequences: sequences, caches: &caches, adding: &hidden)
      for index in states.indices { states[index].layers[layer] = .latent(caches[index]) }
    }
  }

  /// Adds the feed-forward part of one layer to the residual stream.
  private func feedForward(
    _ input: Matrix, _ part: ModelWeights.FeedForward, adding hidden: inout Matrix,
    _ options: Options
  ) {
    func allTokens(_ weights: FeedForwardWeights) -> FeedForwardMember {
      FeedForwardMember(
        weights: weights, tokens: Array(0..<input.rows),
        factors: [Float](repeating: 1, count: input.rows))
    }
    let members: [FeedForwardMember]
    switch part {
    case .dense(let weights):
      members = [allTokens(weights)]
    case .experts(let weights):
      let logits = WeightProduct.multiply(input, by: weights.gate, workers: options.workers)
      let routed = weights.router.choose(logits, workers: options.workers)
      options.clock?.ended(.router)
      members = routed.members(weights.experts) + (weights.shared.map { [allTokens($0)] } ?? [])
    }
    FeedForwardMixture.add(input, through: members, to: &hidden, workers: options.workers)
  }
}

extension SequenceState {
  fileprivate mutating func lendLinear(_ layer: Int) -> LinearAttentionState? {
    guard case .linear(let state) = layers[layer] else { return nil }
    layers[layer] = .lent
    return state
  }

  fileprivate mutating func lendLatent(_ layer: Int) -> LatentCache? {
    guard case .latent(let cache) = layers[layer] else { return nil }
    layers[layer] = .lent
    return cache
  }
}

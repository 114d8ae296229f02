// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import TensorCore

extension DecodingPlan {
  /// Plans a model.
  ///
  /// - Parameters:
  ///   - model: The model; it has to outlive the plan.
  ///   - members: Members of the team that will go by it.
  ///   - memory: Where places are taken.
  init(_ model: Model, members: Int, memory: inout MemoryPlan) {
    let places = CommonPlaces(model.configuration, &memory)
    var builder = PlanBuilder(
      model: model, places: places, blockSize: BlockSize(members: members), memory: memory)
    layers = model.weights.layers.map { builder.layer($0) }
    finalNorm = builder.memory.take(model.weights.finalNorm)
    head = builder.add(model.weights.head, output: places.logits)
    memory = builder.memory
    (blocks, experts, routers) = (builder.blocks, builder.experts, builder.routers)
    embedding = model.weights.embedding
    self.places = places
    weightByteCount =
      builder.byteCount + (embedding.region.byteCount / max(embedding.shape.rows, 1))
  }
}

extension DecodingPlan.CommonPlaces {
  fileprivate init(_ configuration: ModelConfiguration, _ memory: inout MemoryPlan) {
    let linear = configuration.linearAttention
    let latent = configuration.latentAttention
    let absorbed = latent.map(AbsorbedAttention.init)
    let experts = configuration.experts
    hidden = memory.take(configuration.hiddenSize)
    logits = memory.take(configuration.vocabularySize)
    forgetDown = memory.take(linear?.headDimension ?? 0)
    gateDown = memory.take(linear?.headDimension ?? 0)
    beta = memory.take(linear?.heads ?? 0)
    mixed = memory.take(
      max(linear?.width ?? 0, (latent?.heads ?? 0) * (latent?.valueDimension ?? 0)))
    queryDown = memory.take(latent?.queryRank ?? 0)
    queries = memory.take((latent?.heads ?? 0) * (latent?.keyDimension ?? 0))
    self.latent = memory.take(latent?.cacheWidth ?? 0)
    self.absorbed = memory.take(absorbed?.queryCount ?? 0)
    partials = memory.take(
      (absorbed?.partialCount ?? 0) * AbsorbedAttention.maximumSegmentCount)
    routing = memory.take(experts?.count ?? 0)
    let slots = (experts?.perToken ?? 0) * (experts?.width ?? 0)
    let shared = (experts?.shared ?? 0) * (experts?.width ?? 0)
    activations = memory.take(max(slots + shared, configuration.intermediateSize))
  }
}

extension AbsorbedAttention {
  /// The attention of a model.
  init(_ dimensions: ModelConfiguration.LatentAttention) {
    self.init(
      heads: dimensions.heads, rank: dimensions.latentRank,
      ropeDimension: dimensions.ropeDimension)
  }
}

/// Collects blocks and places while it goes through the layers.
private struct PlanBuilder {
  let model: Model
  let places: DecodingPlan.CommonPlaces
  let blockSize: BlockSize
  var memory: MemoryPlan
  var blocks: [RowBlock] = []
  var experts: [DecodingPlan.GatedMatrices] = []
  var routers: [Router] = []
  var byteCount = 0
  private var latentLayers = 0

  init(
    model: Model, places: DecodingPlan.CommonPlaces, blockSize: BlockSize, memory: MemoryPlan
  ) {
    self.model = model
    self.places = places
    self.blockSize = blockSize
    self.memory = memory
  }

  /// Adds the blocks of all rows of a matrix.
  mutating func add(_ tensor: EncodedTensor, output: Range<Int>) -> Range<Int> {
    let start = blocks.count
    blocks += blockSize.blocks(of: StoredMatrix(tensor), output: output)
    byteCount += tensor.region.byteCount
    return start..<blocks.count
  }

  mutating func layer(_ layer: ModelWeights.Layer) -> DecodingPlan.Layer {
    let attention: DecodingPlan.Attention
    switch layer.attention {
    case .linear(let weights): attention = .linear(linear(weights))
    case .latent(let weights): attention = .latent(latent(weights))
    }
    let feedForward: DecodingPlan.FeedForward
    switch layer.feedForward {
    case .dense(let weights):
      let matrices = DecodingPlan.GatedMatrices(weights, blockSize)
      byteCount += matrices.byteCount
      feedForward = .dense(matrices)
    case .experts(let weights): feedForward = .experts(mixture(weights))
    }
    return DecodingPlan.Layer(
      inputNorm: memory.take(layer.inputNorm), feedForwardNorm: memory.take(layer.feedForwardNorm),
      attention: attention, feedForward: feedForward)
  }

  private mutating func linear(_ weights: LinearAttentionWeights) -> DecodingPlan.LinearPlan {
    let heads = places.beta.count
    let head = weights.outputNorm.count
    let width = heads * head
    let kernel = weights.queryConvolution.kernel
    let ring = ConvolutionRing(
      place: memory.take(3 * width * kernel), channels: 3 * width, kernel: kernel)
    let firstRow = ring.place.lowerBound..<ring.place.lowerBound + 3 * width
    let start = blocks.count
    for (part, tensor) in [weights.query, weights.key, weights.value].enumerated() {
      let first = firstRow.lowerBound + part * width
      _ = add(tensor, output: first..<first + width)
    }
    _ = add(weights.forgetDown, output: places.forgetDown)
    _ = add(weights.gateDown, output: places.gateDown)
    _ = add(weights.beta, output: places.beta)
    let projections = start..<blocks.count
    byteCount += weights.forgetUp.region.byteCount + weights.gateUp.region.byteCount
    let convolutions = [
      weights.queryConvolution, weights.keyConvolution, weights.valueConvolution,
    ]
    let taps = (0..<heads).flatMap { index in
      convolutions.flatMap { $0.taps(channels: index * head..<(index + 1) * head) }
    }
    return DecodingPlan.LinearPlan(
      projections: projections, ring: ring, taps: memory.take(taps),
      forgetUp: StoredMatrix(weights.forgetUp), gateUp: StoredMatrix(weights.gateUp),
      decayRates: memory.take(weights.logDecayRate.prefix(heads).map { exponential($0) }),
      decayBias: memory.take(weights.decayBias), outputNorm: memory.take(weights.outputNorm),
      state: memory.take(heads * head * head), output: add(weights.output, output: places.hidden))
  }

  private mutating func latent(_ weights: LatentAttentionWeights) -> DecodingPlan.LatentPlan {
    let start = blocks.count
    _ = add(
      weights.queryDown ?? weights.query,
      output: weights.queryDown == nil ? places.queries : places.queryDown)
    _ = add(weights.latentDown, output: places.latent)
    let projections = start..<blocks.count
    let queryUp =
      weights.queryDown == nil
      ? blocks.count..<blocks.count : add(weights.query, output: places.queries)
    byteCount += weights.latentUp.region.byteCount
    latentLayers += 1
    return DecodingPlan.LatentPlan(
      cache: latentLayers - 1, projections: projections, queryUp: queryUp,
      queryNorm: memory.take(weights.queryNorm), latentNorm: memory.take(weights.latentNorm),
      up: StoredMatrix(weights.latentUp), output: add(weights.output, output: places.hidden))
  }

  private mutating func mixture(_ weights: ExpertWeights) -> DecodingPlan.ExpertsPlan {
    let first = experts.count
    let matrices = weights.experts.map { DecodingPlan.GatedMatrices($0, blockSize) }
    experts += matrices
    routers.append(weights.router)
    // Experts may be stored differently: what a token reads is counted by their mean.
    let all = matrices.reduce(0) { $0 + $1.byteCount }
    byteCount += all / max(matrices.count, 1) * weights.router.perToken
    let shared = weights.shared.map { DecodingPlan.GatedMatrices($0, blockSize) }
    byteCount += shared?.byteCount ?? 0
    return DecodingPlan.ExpertsPlan(
      router: routers.count - 1, gate: add(weights.gate, output: places.routing),
      firstExpert: first, width: matrices.first?.gate.rows ?? 0,
      perToken: weights.router.perToken, shared: shared,
      rowsPerItem: matrices.first?.rowsPerItem ?? 1,
      rowsPerSum: blockSize.rowCount(
        rows: matrices.first?.down.rows ?? 0,
        rowByteCount: (matrices.first?.down.rowByteCount ?? 0) * weights.router.perToken
          + (shared?.down.rowByteCount ?? 0)))
  }
}

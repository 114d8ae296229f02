// SPDX-License-Identifier: Apache-2.0

import Benchmarking
import Checkpoints
import Kernels
import KimiLinear
import TensorCore
import TestSupport
import Testing

/// What a model cannot do without.
@Suite struct ModelCostTests {
  private func model() throws -> Model {
    try Model(CheckedCheckpoint(Checkpoint(Fixtures.nano)))
  }

  @Test("operations of a prefill are those of its matrices, its recurrences and its attention")
  func prefill() throws {
    let model = try model()
    let configuration = model.configuration
    // Twice the elements of every matrix that a token meets, counted from the weights themselves.
    var expected = 2.0 * Double(model.weights.head.shape.elementCount)
    let tokens = 48
    for layer in model.weights.layers {
      switch layer.attention {
      case .linear(let kda):
        let matrices = [
          kda.query, kda.key, kda.value, kda.forgetDown, kda.forgetUp, kda.gateDown, kda.gateUp,
          kda.beta, kda.output,
        ]
        let dimensions = try #require(configuration.linearAttention)
        expected += matrices.reduce(0) { $0 + 2 * Double($1.shape.elementCount) }
        expected += 6 * Double(dimensions.kernelSize * dimensions.width)
        expected += 6 * Double(dimensions.width * dimensions.headDimension)
      case .latent(let mla):
        let matrices = [mla.query, mla.latentDown, mla.latentUp, mla.output]
        let dimensions = try #require(configuration.latentAttention)
        expected += matrices.reduce(mla.queryDown.map { 2 * Double($0.shape.elementCount) } ?? 0) {
          $0 + 2 * Double($1.shape.elementCount)
        }
        let attended = (1...tokens).reduce(0, +)
        expected +=
          2 * Double(dimensions.heads * (dimensions.keyDimension + dimensions.valueDimension))
          * Double(attended) / Double(tokens)
      }
      switch layer.feedForward {
      case .dense(let dense): expected += elements(dense)
      case .experts(let experts):
        let perToken = try #require(configuration.experts).perToken
        expected += 2 * Double(experts.gate.shape.elementCount)
        expected += elements(experts.experts[0]) * Double(perToken)
        if let shared = experts.shared { expected += elements(shared) }
      }
    }
    let cost = ModelCost(model)
    let one = cost.prefillOperations(tokens: tokens, sequences: 1).values.reduce(0, +)
    #expect(abs(one / Double(tokens) - expected) < 1e-9 * expected)
    let three = cost.prefillOperations(tokens: tokens, sequences: 3).values.reduce(0, +)
    #expect(abs(three - 3 * one) < 1e-9 * three)
  }

  private func elements(_ weights: FeedForwardWeights) -> Double {
    [weights.gate, weights.up, weights.down].reduce(0) { $0 + 2 * Double($1.shape.elementCount) }
  }

  @Test("a token behind a longer context costs more, by what MLA attends to")
  func decode() throws {
    let model = try model()
    let cost = ModelCost(model)
    let latent = try #require(model.configuration.latentAttention)
    let more = cost.decodeOperations(context: 1000) - cost.decodeOperations(context: 0)
    let each = 2 * latent.heads * (2 * latent.latentRank + latent.ropeDimension)
    #expect(more == Double(1000 * each * model.configuration.latentLayerCount))
    let bytes = cost.stateByteCount(context: 1000) - cost.stateByteCount(context: 0)
    #expect(bytes == 4000 * latent.cacheWidth * model.configuration.latentLayerCount)
  }

  @Test("active bytes leave out what a token does not touch")
  func activeBytes() throws {
    let model = try model()
    let active = ModelCost(model).activeWeightByteCount
    let all = try Checkpoint(Fixtures.nano).storedTensors.reduce(0) { $0 + $1.byteCount }
    #expect(active > 0 && active < all)
  }
}

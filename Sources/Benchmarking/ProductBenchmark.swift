// SPDX-License-Identifier: Apache-2.0

import Kernels
package import KimiLinear
package import TensorCore

/// How fast products with the stored weights of a model are, shape by shape.
package struct ProductBenchmark: Sendable {
  /// Matrices of one shape and encoding, and the time for one of them.
  package struct Result: Sendable {
    /// Dimensions `[out, in]`.
    package let shape: TensorShape
    /// How the weights are stored.
    package let encoding: TensorEncoding
    /// Where the model has such matrices.
    package let parts: [ModelPart]
    /// How many it has.
    package let count: Int
    /// Tokens that were multiplied.
    package let tokens: Int
    /// Times of one product on all threads.
    package let time: Measurement

    /// Operations of one product.
    package var operations: Double { 2 * Double(tokens) * Double(shape.elementCount) }
    /// Operations a second.
    package var operationsPerSecond: Double { operations / time.median }
  }

  private struct Key: Hashable {
    let dimensions: [Int]
    let encoding: TensorEncoding
  }

  private let products: [(key: Key, tensors: [EncodedTensor], parts: Set<ModelPart>)]
  private let workers: Workers
  private let repeats: Int

  /// Finds the distinct products of a model.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - workers: Threads.
  ///   - repeats: Runs of each.
  package init(_ model: Model, workers: Workers, repeats: Int) {
    self.workers = workers
    self.repeats = repeats
    var places: [Key: Int] = [:]
    var products: [(key: Key, tensors: [EncodedTensor], parts: Set<ModelPart>)] = []
    for (part, tensor) in Self.matrices(of: model.weights) {
      let key = Key(dimensions: tensor.shape.dimensions, encoding: tensor.encoding)
      let place = places[key] ?? products.count
      if place == products.count { products.append((key, [], [])) }
      places[key] = place
      products[place].tensors.append(tensor)
      products[place].parts.insert(part)
    }
    self.products = products
  }

  /// Number of distinct products.
  package var count: Int { products.count }

  /// Measures one of the products.
  ///
  /// Matrices take turns, as far as there are several, so that the caches do not already hold what is
  /// widened.
  package func run(_ index: Int, tokens: Int) -> Result {
    let (key, tensors, parts) = products[index]
    var noise = SeededNoise(seed: 5)
    let input = noise.matrix(rows: tokens, columns: tensors[0].shape.columns)
    var turn = 0
    let time = Measurement.ofShort(repeats: repeats) {
      _ = WeightProduct.multiply(input, by: tensors[turn % tensors.count], workers: workers)
      turn += 1
    }
    return Result(
      shape: tensors[0].shape, encoding: key.encoding,
      parts: ModelPart.allCases.filter(parts.contains), count: tensors.count, tokens: tokens,
      time: time)
  }

  /// Every matrix that activations are multiplied with, in the order of the model.
  private static func matrices(of weights: ModelWeights) -> [(ModelPart, EncodedTensor)] {
    var matrices: [(ModelPart, EncodedTensor)] = []
    func add(_ part: ModelPart, _ weights: FeedForwardWeights) {
      matrices += [(part, weights.gate), (part, weights.up), (part, weights.down)]
    }
    for layer in weights.layers {
      switch layer.attention {
      case .linear(let kda):
        matrices += [
          kda.query, kda.key, kda.value, kda.forgetDown, kda.forgetUp, kda.gateDown, kda.gateUp,
          kda.beta, kda.output,
        ].map { (.kda, $0) }
      case .latent(let mla):
        if let down = mla.queryDown { matrices.append((.mla, down)) }
        matrices += [mla.query, mla.latentDown, mla.latentUp, mla.output].map { (.mla, $0) }
      }
      switch layer.feedForward {
      case .dense(let dense): add(.dense, dense)
      case .experts(let experts):
        matrices.append((.router, experts.gate))
        for expert in experts.experts { add(.experts, expert) }
        if let shared = experts.shared { add(.experts, shared) }
      }
    }
    return matrices + [(.head, weights.head)]
  }
}

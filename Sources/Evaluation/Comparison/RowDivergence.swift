// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Two distributions over the whole vocabulary, compared block by block.
///
/// The blocks never have to be there together. By the chain rule of relative entropy, with P and Q the
/// probabilities of the blocks,
///
///     KL(p || q) = KL(P || Q) + sum over blocks of P * KL(p given the block || q given the block)
///
/// and every number in it is at least 0.
package struct RowDivergence: Sendable {
  private var blocks: [BlockDivergence] = []
  private var idCount = 0
  private var baseTop: (id: Int, logit: Float)?
  private var modelTop: (id: Int, logit: Float)?

  /// Nothing seen yet.
  package init() {}

  /// Takes the next block of the vocabulary.
  ///
  /// - Parameters:
  ///   - block: What was found in it.
  ///   - count: How many ids it has.
  package mutating func add(_ block: BlockDivergence, count: Int) {
    func better(
      _ known: (id: Int, logit: Float)?, _ top: BlockDivergence.Top
    ) -> (id: Int, logit: Float) {
      // Of equal logits the lower id counts, which came first.
      if let known, known.logit >= top.logit { return known }
      return (idCount + top.place, top.logit)
    }
    baseTop = better(baseTop, block.baseTop)
    modelTop = better(modelTop, block.modelTop)
    blocks.append(block)
    idCount += count
  }

  /// ln of the sum of exp(logit) over all ids, of the base.
  package var baseLogSum: Double { logSumExp(blocks.map(\.baseLogSum)) }

  /// ln of the sum of exp(logit) over all ids, of the model.
  package var modelLogSum: Double { logSumExp(blocks.map(\.modelLogSum)) }

  /// KL(base || model) in nats.
  package var divergence: Double {
    let (baseLogSum, modelLogSum) = (baseLogSum, modelLogSum)
    return blocks.reduce(0) { sum, block in
      let baseLog = block.baseLogSum - baseLogSum
      let modelLog = block.modelLogSum - modelLogSum
      let (p, q) = (exp(baseLog), exp(modelLog))
      return sum + p * block.divergence
        + divergenceTerm(p: p, q: q, logRatio: modelLog - baseLog)
    }
  }

  /// Whether both have the same most likely id.
  package var hasSameTop: Bool { baseTop?.id == modelTop?.id }
}

/// ln of the sum of exp(x), in the order given.
private func logSumExp(_ numbers: [Double]) -> Double {
  let largest = numbers.reduce(-Double.infinity, max)
  return largest + log(numbers.reduce(0) { $0 + exp($1 - largest) })
}

// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Kernels
package import KimiLinear
package import TensorCore

/// Computes ln p of given tokens from hidden states, without a logits matrix for the vocabulary.
///
/// The vocabulary goes by in blocks; each token keeps its largest logit m and the sum of
/// exp(logit - m), which a larger maximum rescales. Logits are float32, sums float64, and blocks
/// come in a fixed order, so the result does not depend on the number of threads.
package struct TokenScorer: Sendable {
  /// Ids in a block.
  private static let idsPerBlock = 2048
  private let model: Model
  private let workers: Workers

  package init(_ model: Model, workers: Workers) {
    self.model = model
    self.workers = workers
  }

  /// Natural-log probabilities.
  ///
  /// - Parameters:
  ///   - targets: One token id for each row of `hidden`: what came next.
  ///   - hidden: Hidden states after the final norm, `[N, d]`.
  /// - Returns: ln p(target) for each row.
  package func logProbabilities(of targets: [Int], after hidden: Matrix) -> [Double] {
    var tallies = [Tally](repeating: Tally(), count: targets.count)
    let size = model.configuration.vocabularySize
    for start in stride(from: 0, to: size, by: Self.idsPerBlock) {
      let block = start..<min(start + Self.idsPerBlock, size)
      let logits = model.logits(hidden, vocabulary: block, workers: workers)
      let sums = workers.map(logits.rows) { row in
        let largest = maximumElement(logits.rowSpan(row))
        return (largest, sumOfExponentials(logits.rowSpan(row), minus: largest))
      }
      for (row, (largest, sum)) in sums.enumerated() {
        tallies[row].add(maximum: largest, sum: sum)
        if block.contains(targets[row]) {
          tallies[row].target = Double(logits[row, targets[row] - start])
        }
      }
    }
    return tallies.map(\.logProbability)
  }
}

/// What one token has seen of the vocabulary so far.
private struct Tally {
  var maximum = -Double.infinity
  var sum = 0.0
  var target = -Double.infinity

  mutating func add(maximum blockMaximum: Float, sum blockSum: Double) {
    let other = Double(blockMaximum)
    if other > maximum {
      sum = sum * exp(maximum - other) + blockSum
      maximum = other
    } else {
      sum += blockSum * exp(other - maximum)
    }
  }

  var logProbability: Double { target - maximum - log(sum) }
}

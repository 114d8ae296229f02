// SPDX-License-Identifier: Apache-2.0

package import Kernels
package import KimiLinear
package import TensorCore

/// Computes ln p of given tokens from hidden states, without a logits matrix for the vocabulary.
package struct TokenScorer: Sendable {
  private let model: Model
  private let workers: Workers

  package init(_ model: Model, workers: Workers) {
    self.model = model
    self.workers = workers
  }

  /// Natural-log probabilities; they do not depend on the number of threads.
  ///
  /// - Parameters:
  ///   - targets: One token id for each row of `hidden`: what came next.
  ///   - hidden: Hidden states after the final norm, `[N, d]`.
  /// - Returns: ln p(target) for each row.
  package func logProbabilities(of targets: [Int], after hidden: Matrix) -> [Double] {
    ProductLogSumExp.logProbabilities(
      of: targets, input: PackedRows(hidden, workers: workers), weight: model.weights.head,
      workers: workers)
  }
}

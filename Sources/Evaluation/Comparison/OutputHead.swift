// SPDX-License-Identifier: Apache-2.0

import Kernels
package import TensorCore

/// The last product of a model, apart from the rest of it: hidden states to logits.
package struct OutputHead: Sendable {
  /// As stored, `[vocabulary, d]`.
  package let weights: EncodedTensor

  package init(_ weights: EncodedTensor) {
    self.weights = weights
  }

  /// Ids that there are.
  package var vocabularySize: Int { weights.shape.rows }

  /// Logits of some rows of the vocabulary, in float32.
  ///
  /// - Parameters:
  ///   - hidden: Hidden states after the final norm, `[n, d]`.
  ///   - vocabulary: Ids.
  ///   - workers: Threads.
  /// - Returns: `[n, vocabulary.count]`.
  func logits(_ hidden: Matrix, vocabulary: Range<Int>, workers: Workers) -> Matrix {
    WeightProduct.multiply(hidden, by: weights, rows: vocabulary, workers: workers)
  }
}

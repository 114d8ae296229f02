// SPDX-License-Identifier: Apache-2.0

/// How many calibration tokens each expert of a layer saw, and what was done for those that saw few.
package struct ExpertCoverage: Sendable, Equatable {
  /// The layer.
  package let layer: Int
  /// Tokens of each expert.
  package let tokenCounts: [Int]
  /// Experts with fewer tokens than this are mostly rounded by the moments of the whole layer.
  package let threshold: Int

  package init(layer: Int, tokenCounts: [Int], threshold: Int) {
    self.layer = layer
    self.tokenCounts = tokenCounts
    self.threshold = threshold
  }

  /// Experts that no token went to.
  package var unseenCount: Int { tokenCounts.count { $0 == 0 } }
  /// Experts with some tokens, but fewer than the threshold.
  package var scarceCount: Int { tokenCounts.count { $0 > 0 && $0 < threshold } }
}

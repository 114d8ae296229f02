// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Compares the next-token distributions of two models, given their hidden states.
///
/// The vocabulary goes by in blocks, so that logits take memory for one block of some rows. Blocks come in a
/// fixed order and rows are independent: the result does not depend on the number of threads.
struct DistributionComparer: Sendable {
  /// What was found at one position.
  struct Finding: Sendable, Equatable {
    /// ln p(token) of the model.
    let logProbability: Double
    /// ln p(token) of the base.
    let baseLogProbability: Double
    /// KL(base || model) in nats.
    let divergence: Double
    /// Whether both have the same most likely token.
    let hasSameTop: Bool
  }

  /// Ids in a block.
  private static let idsPerBlock = 2048
  /// Positions whose logits are there together: enough that a weight is widened for many.
  private static let rowsPerTile = 1024

  let model: OutputHead
  let base: OutputHead
  let workers: Workers

  /// - Parameters:
  ///   - targets: The token at each position, n of them.
  ///   - modelHidden: Hidden states of the model that score them, `[n, d]`.
  ///   - baseHidden: Those of the base, `[n, d of the base]`.
  /// - Returns: One finding for each position.
  /// - Precondition: Both heads have the same vocabulary, and targets are in it.
  func compare(_ targets: [Int], modelHidden: Matrix, baseHidden: Matrix) -> [Finding] {
    precondition(model.vocabularySize == base.vocabularySize, "vocabularies differ")
    return stride(from: 0, to: targets.count, by: Self.rowsPerTile).flatMap { start in
      let rows = start..<min(start + Self.rowsPerTile, targets.count)
      return compare(
        targets[rows], modelHidden.block(rows: rows, columns: 0..<modelHidden.columns),
        baseHidden.block(rows: rows, columns: 0..<baseHidden.columns))
    }
  }

  private func compare(
    _ targets: ArraySlice<Int>, _ modelHidden: Matrix, _ baseHidden: Matrix
  ) -> [Finding] {
    var rows = targets.map { Row(target: $0) }
    for start in stride(from: 0, to: model.vocabularySize, by: Self.idsPerBlock) {
      let block = start..<min(start + Self.idsPerBlock, model.vocabularySize)
      let modelLogits = model.logits(modelHidden, vocabulary: block, workers: workers)
      let baseLogits = base.logits(baseHidden, vocabulary: block, workers: workers)
      let found = workers.map(rows.count) { row in
        BlockDivergence(base: baseLogits.rowSpan(row), model: modelLogits.rowSpan(row))
      }
      for index in rows.indices {
        rows[index].divergence.add(found[index], count: block.count)
        if block.contains(rows[index].target) {
          rows[index].logit = Double(modelLogits[index, rows[index].target - start])
          rows[index].baseLogit = Double(baseLogits[index, rows[index].target - start])
        }
      }
    }
    return rows.map(\.finding)
  }

  /// What one position has seen of the vocabulary so far.
  private struct Row {
    let target: Int
    var divergence = RowDivergence()
    var logit = -Double.infinity
    var baseLogit = -Double.infinity

    var finding: Finding {
      Finding(
        logProbability: logit - divergence.modelLogSum,
        baseLogProbability: baseLogit - divergence.baseLogSum,
        divergence: divergence.divergence, hasSameTop: divergence.hasSameTop)
    }
  }
}

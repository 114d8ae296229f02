// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// The three stored matrices of a gated feed-forward layer: y = down (SiLU(gate x) * up x).
package struct FeedForwardWeights: Sendable {
  /// `[width, d]`.
  package let gate: EncodedTensor
  /// `[width, d]`.
  package let up: EncodedTensor
  /// `[d, width]`.
  package let down: EncodedTensor

  package init(gate: EncodedTensor, up: EncodedTensor, down: EncodedTensor) {
    self.gate = gate
    self.up = up
    self.down = down
  }

  /// Applies the layer to all rows.
  ///
  /// - Parameters:
  ///   - input: `[N, d]`.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, d]`.
  package func apply(_ input: Matrix, workers: Workers) -> Matrix {
    var gated = WeightProduct.multiply(input, by: gate, workers: workers)
    let raised = WeightProduct.multiply(input, by: up, workers: workers)
    gated.multiplySiLU(by: raised, workers: workers)
    return WeightProduct.multiply(gated, by: down, workers: workers)
  }
}

/// A mixture of experts: each token goes through the few that its router chose.
///
/// Tokens are gathered by expert, so that each expert is a few large products, and its weights are
/// widened once for all of its tokens.
package enum ExpertMixture {
  /// Tokens of one expert that are worked on at a time.
  private static let tokensPerItem = 512

  /// Sums the chosen experts' outputs.
  ///
  /// - Parameters:
  ///   - input: `[N, d]`.
  ///   - choices: The experts of each token.
  ///   - experts: All experts of the layer.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, d]`; each token's sum runs over its choices in their order.
  package static func apply(
    _ input: Matrix, choices: [[Router.Choice]], experts: [FeedForwardWeights], workers: Workers
  ) -> Matrix {
    let slots = choices.map(\.count).max() ?? 0
    let places = self.places(choices, slots: slots, expertCount: experts.count)
    let items = workItems(places)
    var outputs = Matrix(rows: input.rows * slots, columns: input.columns)
    outputs.withSharedRows { outputs in
      workers.forEach(items.count) { index in
        let item = items[index]
        let rows = places[item.expert][item.range]
        let gathered = input.gather(rows.map { $0 / slots })
        let result = experts[item.expert].apply(gathered, workers: Workers(count: 1))
        for (row, place) in rows.enumerated() {
          outputs.withRow(place) { target in
            target.copy(from: result.rowSpan(row))
          }
        }
      }
    }
    return combine(outputs, choices: choices, slots: slots, rows: input.rows, workers: workers)
  }

  /// Where each expert's outputs go: rows `token * slots + slot`, each written by one item only.
  private static func places(
    _ choices: [[Router.Choice]], slots: Int, expertCount: Int
  ) -> [[Int]] {
    var places = [[Int]](repeating: [], count: expertCount)
    for (token, chosen) in choices.enumerated() {
      for (slot, choice) in chosen.enumerated() {
        places[choice.expert].append(token * slots + slot)
      }
    }
    return places
  }

  /// Pieces of work, the largest first.
  private static func workItems(_ places: [[Int]]) -> [(expert: Int, range: Range<Int>)] {
    var items: [(expert: Int, range: Range<Int>)] = []
    for (expert, rows) in places.enumerated() {
      for start in stride(from: 0, to: rows.count, by: tokensPerItem) {
        items.append((expert, start..<min(start + tokensPerItem, rows.count)))
      }
    }
    return items.sorted { left, right in
      (right.range.count, left.expert, left.range.lowerBound)
        < (left.range.count, right.expert, right.range.lowerBound)
    }
  }

  private static func combine(
    _ outputs: Matrix, choices: [[Router.Choice]], slots: Int, rows: Int, workers: Workers
  ) -> Matrix {
    var sum = Matrix(rows: rows, columns: outputs.columns)
    sum.forEachRow(workers: workers) { token, target in
      for (slot, choice) in choices[token].enumerated() {
        add(outputs.rowSpan(token * slots + slot), times: choice.weight, to: &target)
      }
    }
    return sum
  }
}

extension Matrix {
  /// SiLU(self) * other, element by element, in place.
  mutating func multiplySiLU(by other: Matrix, workers: Workers) {
    precondition(rows == other.rows && columns == other.columns, "shapes differ")
    forEachRow(workers: workers) { row, gate in
      siluMultiply(&gate, by: other.rowSpan(row))
    }
  }

  /// A matrix of some rows, in the order given.
  package func gather(_ indices: [Int]) -> Matrix {
    var result = Matrix(rows: indices.count, columns: columns)
    result.withSharedRows { target in
      for (row, index) in indices.enumerated() {
        target.withRow(row) { $0.copy(from: rowSpan(index)) }
      }
    }
    return result
  }
}

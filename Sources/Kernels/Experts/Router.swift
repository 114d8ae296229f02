// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Chooses the experts of a token: sigmoid scores, a bias for the choice only, optional groups.
///
///     s = sigmoid(gate x);  choice = s + bias
///     with groups: keep the groups whose two largest choices have the largest sums
///     weight = s of the chosen / (sum of them + 1e-20) if renormalised, times the factor
///
/// Source: DeepSeek-V3, section 2.1.2, as the released checkpoints use it.
package struct Router: Sendable {
  /// Added to the scores when experts are chosen, not when they are weighed.
  package let bias: [Float]
  /// Experts of a token.
  package let perToken: Int
  /// Groups of consecutive experts.
  package let groups: Int
  /// Groups that a token may choose from.
  package let groupsPerToken: Int
  /// Whether weights are brought to sum 1 before the factor.
  package let renormalizes: Bool
  /// Factor on all weights.
  package let scalingFactor: Float

  package init(
    bias: [Float], perToken: Int, groups: Int, groupsPerToken: Int, renormalizes: Bool,
    scalingFactor: Float
  ) {
    self.bias = bias
    self.perToken = perToken
    self.groups = groups
    self.groupsPerToken = groupsPerToken
    self.renormalizes = renormalizes
    self.scalingFactor = scalingFactor
  }

  /// One expert of a token and what it counts.
  package struct Choice: Sendable, Equatable {
    /// Index of the expert.
    package let expert: Int
    /// Factor on its output.
    package let weight: Float
  }

  /// Chooses for one token.
  ///
  /// - Parameter logits: One router output an expert, before the sigmoid.
  /// - Returns: `perToken` experts, the best first; equal ones by index.
  package func choose(_ logits: Span<Float>) -> [Choice] {
    var scores = [Float](copying: logits)
    var span = scores.mutableSpan
    sigmoid(&span)
    var choices = zip(scores, bias).map { $0 + $1 }
    if groups > 1 { maskGroups(&choices) }
    let chosen = Self.largest(perToken, of: choices)
    let weights = chosen.map { scores[$0] }
    let sum = renormalizes ? weights.reduce(0, +) + 1e-20 : 1
    return zip(chosen, weights).map { Choice(expert: $0, weight: $1 / sum * scalingFactor) }
  }

  /// Chooses for all rows of a matrix of router outputs `[N, E]`.
  package func choose(_ logits: Matrix, workers: Workers) -> [[Choice]] {
    workers.map(logits.rows) { row in choose(logits.rowSpan(row)) }
  }

  private func maskGroups(_ choices: inout [Float]) {
    let size = choices.count / groups
    let groupScores = (0..<groups).map { group in
      let members = Array(choices[group * size..<(group + 1) * size])
      return Self.largest(2, of: members).reduce(0) { $0 + members[$1] }
    }
    let kept = Set(Self.largest(groupsPerToken, of: groupScores))
    for group in 0..<groups where !kept.contains(group) {
      for index in group * size..<(group + 1) * size { choices[index] = -.infinity }
    }
  }

  /// Indices of the largest values, in falling order; the lower index first among equals.
  ///
  /// NaN counts as the smallest value, so that broken weights still give a valid choice.
  private static func largest(_ count: Int, of values: [Float]) -> [Int] {
    let keys = values.map { $0.isNaN ? -Float.infinity : $0 }
    let order = keys.indices.sorted { left, right in
      keys[left] == keys[right] ? left < right : keys[left] > keys[right]
    }
    return Array(order.prefix(count))
  }
}

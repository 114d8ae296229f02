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

  /// Rows that one thread chooses for at a time.
  private static let rowsPerItem = 128

  /// Chooses for one token.
  ///
  /// - Parameter logits: One router output an expert, before the sigmoid.
  /// - Returns: `perToken` experts, the best first; equal ones by index.
  package func choose(_ logits: Span<Float>) -> [Choice] {
    var choices: [Choice] = []
    withScratch(2 * logits.count) { choose(logits, scratch: &$0, appendingTo: &choices) }
    return choices
  }

  /// Chooses for all rows of a matrix of router outputs `[N, E]`.
  package func choose(_ logits: Matrix, workers: Workers) -> RoutedTokens {
    let items = (logits.rows + Self.rowsPerItem - 1) / Self.rowsPerItem
    let parts = workers.map(items) { item in
      let rows = item * Self.rowsPerItem..<min((item + 1) * Self.rowsPerItem, logits.rows)
      var choices: [Choice] = []
      choices.reserveCapacity(rows.count * perToken)
      withScratch(2 * logits.columns) { scratch in
        for row in rows {
          choose(logits.rowSpan(row), scratch: &scratch, appendingTo: &choices)
        }
      }
      return choices
    }
    return RoutedTokens(expertsPerToken: perToken, choices: parts.flatMap { $0 })
  }

  /// Appends what one token chooses; `scratch` has room for two numbers an expert.
  private func choose(
    _ logits: Span<Float>, scratch: inout MutableSpan<Float>, appendingTo choices: inout [Choice]
  ) {
    let count = logits.count
    precondition(bias.count == count, "a bias for each expert")
    var scores = scratch._mutatingExtracting(0..<count)
    scores.copy(from: logits)
    sigmoid(&scores)
    for expert in 0..<count {
      // NaN counts as the smallest value, so that broken weights still give a valid choice.
      let key = scratch[expert] + bias[expert]
      scratch[count + expert] = key.isNaN ? -.infinity : key
    }
    if groups > 1 {
      var keys = scratch._mutatingExtracting(count..<2 * count)
      maskGroups(&keys)
    }
    let first = choices.count
    let keys = scratch.span.extracting(count..<2 * count)
    for _ in 0..<min(perToken, count) {
      let best = Self.best(of: keys) { expert in
        choices[first...].contains { $0.expert == expert }
      }
      choices.append(Choice(expert: best, weight: scratch[best]))
    }
    let sum =
      renormalizes ? choices[first...].reduce(0) { $0 + $1.weight } + 1e-20 : 1
    for index in first..<choices.count {
      choices[index] = Choice(
        expert: choices[index].expert, weight: choices[index].weight / sum * scalingFactor)
    }
  }

  /// Gives all experts of the groups that are not chosen from the smallest key.
  private func maskGroups(_ keys: inout MutableSpan<Float>) {
    let size = keys.count / groups
    let groupScores = (0..<groups).map { group in
      let members = keys.span.extracting(group * size..<(group + 1) * size)
      let first = Self.best(of: members) { _ in false }
      let second = Self.best(of: members) { $0 == first }
      return size > 1 ? members[first] + members[second] : members[first]
    }
    var kept: [Int] = []
    for _ in 0..<groupsPerToken {
      kept.append(Self.best(of: groupScores.span) { kept.contains($0) })
    }
    for group in 0..<groups where !kept.contains(group) {
      for index in group * size..<(group + 1) * size { keys[index] = -.infinity }
    }
  }

  /// The index of the largest key that is not excluded; the lower one among equals.
  private static func best(of keys: Span<Float>, excluding isExcluded: (Int) -> Bool) -> Int {
    var best: Int?
    for index in 0..<keys.count {
      if let best, keys[index] <= keys[best] { continue }
      if !isExcluded(index) { best = index }
    }
    return best ?? 0
  }
}

/// The experts that the tokens of a batch go through.
package struct RoutedTokens: Sendable {
  /// Choices of a token.
  package let expertsPerToken: Int
  /// Those of the first token, then those of the next, and so on.
  package let choices: [Router.Choice]

  /// The tokens of each expert that has any, with their weights.
  ///
  /// - Parameter experts: All experts of the layer.
  /// - Returns: One member for each of those experts, by index.
  package func members(_ experts: [FeedForwardWeights]) -> [FeedForwardMember] {
    var counts = [Int](repeating: 0, count: experts.count)
    for choice in choices { counts[choice.expert] += 1 }
    var tokens = [[Int]](repeating: [], count: experts.count)
    var factors = [[Float]](repeating: [], count: experts.count)
    for (expert, count) in counts.enumerated() {
      tokens[expert].reserveCapacity(count)
      factors[expert].reserveCapacity(count)
    }
    for (index, choice) in choices.enumerated() {
      tokens[choice.expert].append(index / expertsPerToken)
      factors[choice.expert].append(choice.weight)
    }
    return experts.indices.filter { !tokens[$0].isEmpty }.map {
      FeedForwardMember(weights: experts[$0], tokens: tokens[$0], factors: factors[$0])
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

internal import TensorCore

/// The choice of experts for one token without memory of its own, for decoding.
extension Router {
  /// Floats of scratch memory for a choice.
  package var workspaceCount: Int { 2 * bias.count + groups }

  /// Chooses for one token; the same experts and weights as `choose`.
  ///
  /// - Parameters:
  ///   - logits: One router output an expert.
  ///   - choice: Receives the index of each chosen expert, the best first, then the factor on each one's
  ///     output: `[2, perToken]`. Floats hold every index exactly.
  ///   - workspace: `workspaceCount` floats.
  package func choose(
    _ logits: Span<Float>, into choice: inout MutableSpan<Float>,
    workspace: inout MutableSpan<Float>
  ) {
    let count = logits.count
    precondition(
      count == bias.count && choice.count == 2 * perToken && workspace.count >= workspaceCount,
      "memory of another size")
    var scores = workspace._mutatingExtracting(0..<count)
    scores.copy(from: logits)
    sigmoid(&scores)
    for index in 0..<count {
      let biased = workspace[index] + bias[index]
      // NaN counts as the smallest value, so that broken weights still give a valid choice.
      workspace[count + index] = biased.isNaN ? -.infinity : biased
    }
    if groups > 1 { maskGroups(&workspace, count: count) }
    for slot in 0..<perToken {
      var chosen = 0
      var largest = Float.nan
      for index in 0..<count {
        let biased = workspace[count + index]
        // What was taken before is NaN, which no comparison prefers.
        if biased > largest || (largest.isNaN && !biased.isNaN) {
          (chosen, largest) = (index, biased)
        }
      }
      choice[slot] = Float(chosen)
      choice[perToken + slot] = workspace[chosen]
      workspace[count + chosen] = .nan
    }
    var sum: Float = 1
    if renormalizes {
      sum = 0
      for slot in 0..<perToken { sum += choice[perToken + slot] }
      sum += 1e-20
    }
    for slot in perToken..<2 * perToken { choice[slot] = choice[slot] / sum * scalingFactor }
  }

  /// Gives the experts of groups that are not kept the least choice there is.
  private func maskGroups(_ workspace: inout MutableSpan<Float>, count: Int) {
    let size = count / groups
    for group in 0..<groups {
      var (first, second) = (-Float.infinity, -Float.infinity)
      for index in count + group * size..<count + (group + 1) * size {
        let choice = workspace[index]
        if choice > first {
          (first, second) = (choice, first)
        } else if choice > second {
          second = choice
        }
      }
      // In a group of one there is no second.
      workspace[2 * count + group] = size > 1 ? first + second : first
    }
    for group in 0..<groups {
      // Kept unless so many are better, or equal and before it.
      let score = workspace[2 * count + group]
      var better = 0
      for other in 0..<groups {
        let rival = workspace[2 * count + other]
        if rival > score || (rival == score && other < group) { better += 1 }
      }
      guard better >= groupsPerToken else { continue }
      for index in count + group * size..<count + (group + 1) * size {
        workspace[index] = -.infinity
      }
    }
  }
}

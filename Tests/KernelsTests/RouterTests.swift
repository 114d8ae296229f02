// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import TestSupport
import Testing

/// The choice of experts against a plain computation in double precision.
@Suite struct RouterTests {
  /// What a token chooses, straight from the definition.
  private func expected(_ logits: [Float], _ router: Router) -> [(expert: Int, weight: Double)] {
    let scores = logits.map { 1 / (1 + exp(-Double($0))) }
    let choices = zip(scores, router.bias).map { $0 + Double($1) }
    let size = choices.count / router.groups
    let groupScores = (0..<router.groups).map { group in
      choices[group * size..<(group + 1) * size].sorted(by: >).prefix(2).reduce(0, +)
    }
    let groups = groupScores.indices.sorted { groupScores[$0] > groupScores[$1] }
      .prefix(router.groupsPerToken)
    let candidates = choices.indices.filter { groups.contains($0 / size) }
    let chosen = candidates.sorted { choices[$0] > choices[$1] }.prefix(router.perToken)
    let sum = chosen.reduce(0) { $0 + scores[$1] } + 1e-20
    return chosen.map { expert in
      let weight = router.renormalizes ? scores[expert] / sum : scores[expert]
      return (expert, weight * Double(router.scalingFactor))
    }
  }

  @Test(arguments: [
    (8, 2, 1, 1), (16, 4, 4, 2), (12, 3, 6, 6), (64, 8, 8, 4), (6, 6, 1, 1), (4, 1, 2, 1),
  ])
  func `choices and weights are those of the definition`(
    experts: Int, perToken: Int, groups: Int, groupsPerToken: Int
  ) {
    var random = SeededGenerator(seed: 61)
    for round in 0..<200 {
      let router = Router(
        bias: (0..<experts).map { _ in 0.3 * random.normal() }, perToken: perToken,
        groups: groups, groupsPerToken: groupsPerToken, renormalizes: round % 2 == 0,
        scalingFactor: 2.446)
      let logits = (0..<experts).map { _ in 3 * random.normal() }
      let choices = router.choose(logits.span)
      let expected = expected(logits, router)
      #expect(choices.map(\.expert) == expected.map(\.expert))
      for (choice, other) in zip(choices, expected) {
        #expect(abs(Double(choice.weight) - other.weight) < 1e-5)
      }
    }
  }

  @Test func `the bias decides the choice and not the weight`() {
    let router = Router(
      bias: [0, 0, 10, 0], perToken: 2, groups: 1, groupsPerToken: 1, renormalizes: false,
      scalingFactor: 1)
    let logits: [Float] = [2, 1, -20, 0]
    let choices = router.choose(logits.span)
    #expect(choices.map(\.expert) == [2, 0])
    #expect(choices[0].weight < 1e-8 && abs(choices[1].weight - 0.880797) < 1e-5)
  }

  @Test func `equal choices go to the lower index, and odd numbers give a valid choice`() {
    let router = Router(
      bias: [0, 0, 0, 0, 0, 0], perToken: 3, groups: 3, groupsPerToken: 2, renormalizes: true,
      scalingFactor: 1)
    let equal: [Float] = [1, 1, 1, 1, 1, 1]
    #expect(router.choose(equal.span).map(\.expert) == [0, 1, 2])
    for value in [Float.nan, .infinity, -.infinity] {
      for place in 0..<6 {
        var logits: [Float] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
        logits[place] = value
        let chosen = router.choose(logits.span).map(\.expert)
        #expect(Set(chosen).count == 3 && chosen.allSatisfy { (0..<6).contains($0) })
      }
      let all = [Float](repeating: value, count: 6)
      #expect(Set(router.choose(all.span).map(\.expert)).count == 3)
    }
  }
}

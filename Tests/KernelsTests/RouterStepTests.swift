// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// The choice for one token in memory of the caller, against the choice for a batch.
@Suite struct RouterStepTests {
  /// Experts, experts of a token, groups, groups of a token; one with groups of a single expert.
  static let shapes = [
    (8, 2, 1, 1), (8, 3, 4, 2), (16, 4, 4, 2), (12, 3, 6, 3), (6, 6, 1, 1), (4, 1, 2, 1),
    (6, 2, 6, 3),
  ]

  private func router(
    _ shape: (experts: Int, perToken: Int, groups: Int, groupsPerToken: Int), bias: [Float],
    renormalizes: Bool = true
  ) -> Router {
    Router(
      bias: bias, perToken: shape.perToken, groups: shape.groups,
      groupsPerToken: shape.groupsPerToken, renormalizes: renormalizes, scalingFactor: 2.5)
  }

  /// Experts and weights that a step of decoding chooses.
  private func step(_ logits: [Float], _ router: Router) -> (experts: [Int], weights: [Float]) {
    var choice = [Float](repeating: .nan, count: 2 * router.perToken)
    var workspace = [Float](repeating: .nan, count: router.workspaceCount)
    var span = choice.mutableSpan
    var scratch = workspace.mutableSpan
    router.choose(logits.span, into: &span, workspace: &scratch)
    return (choice[..<router.perToken].map { Int($0) }, Array(choice[router.perToken...]))
  }

  @Test func `of equal experts and equal groups the first are taken`() {
    let router = router((8, 3, 4, 2), bias: [Float](repeating: 0, count: 8))
    let equal = [Float](repeating: 1, count: 8)
    #expect(step(equal, router).experts == [0, 1, 2])
    // Three weights that sum to 1, times the factor.
    #expect(step(equal, router).weights.allSatisfy { abs($0 - 2.5 / 3) < 1e-6 })
    #expect(router.choose(equal.span).map(\.expert) == [0, 1, 2])
  }

  @Test(arguments: shapes, [true, false])
  func `a step chooses as a batch does, whatever ties or is not a number`(
    shape: (Int, Int, Int, Int), renormalizes: Bool
  ) {
    var random = SeededGenerator(seed: 62)
    for round in 0..<300 {
      // A few different numbers, so that experts and groups tie all the time.
      func number() -> Float { Float(Int.random(in: -1...1, using: &random)) }
      var logits = (0..<shape.0).map { _ in number() }
      let bias = (0..<shape.0).map { _ in round % 3 == 0 ? number() / 8 : 0 }
      if round % 5 == 0 { logits[round % shape.0] = .nan }
      let router = router(shape, bias: bias, renormalizes: renormalizes)
      let batch = router.choose(logits.span)
      let alone = step(logits, router)
      #expect(alone.experts == batch.map(\.expert), "\(logits) \(bias)")
      #expect(sameBits(alone.weights, batch.map(\.weight)))
    }
  }

  @Test
  func `the tokens of each expert come with their weights, and experts without any are left out`()
    throws
  {
    var random = SeededGenerator(seed: 63)
    let layers = try (1...4).map { width in
      FeedForwardWeights(
        gate: try .random(.plain(.f32), rows: width, columns: 2, using: &random),
        up: try .random(.plain(.f32), rows: width, columns: 2, using: &random),
        down: try .random(.plain(.f32), rows: 2, columns: width, using: &random))
    }
    let router = router((4, 2, 1, 1), bias: [0, 0, 0, 0], renormalizes: false)
    // Token 0 goes to experts 3 and 0, token 1 to 0 and 1, token 2 to 3 and 1; none to 2.
    let logits = Matrix(
      rows: 3, columns: 4, elements: [0, -9, -9, 2, 3, 1, -9, -9, -9, 0, -9, 1])
    let routed = router.choose(logits, workers: Workers(count: 2))
    let members = routed.members(layers)
    #expect(members.map(\.weights.width) == [1, 2, 4])
    #expect(members.map(\.tokens) == [[0, 1], [1, 2], [0, 2]])
    // 2.5 / (1 + exp(-x)) for x of 0, 3, 1, 2.
    let expected: [[Float]] = [
      [1.25, 2.381_435_3], [1.827_646_4, 1.25], [2.201_992_8, 1.827_646_4],
    ]
    for (member, factors) in zip(members, expected) {
      #expect(zip(member.factors, factors).allSatisfy { abs($0 - $1) < 1e-6 })
    }
  }

  @Test func `a batch of many tokens is the choice for each`() {
    var random = SeededGenerator(seed: 64)
    let router = router((16, 4, 4, 2), bias: random.floats(16, in: -0.2...0.2))
    // More rows than one thread takes at a time.
    let logits = Matrix(rows: 300, columns: 16, elements: random.floats(4800, in: -3...3))
    let routed = router.choose(logits, workers: Workers(count: 3))
    #expect(routed.expertsPerToken == 4)
    #expect(routed.choices == (0..<300).flatMap { router.choose(logits.rowSpan($0)) })
  }
}

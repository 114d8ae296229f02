// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A sequence gives the same whether it is run at once or in pieces with its state carried along.
@Suite struct CarriedStateTests {
  private static let tokens: [Int] = {
    var generator = SeededGenerator(seed: 3)
    return (0..<150).map { _ in Int.random(in: 0..<1792, using: &generator) }
  }()

  @Test(
    arguments: [[1], [75], [16, 17, 18], [1, 2, 3, 4, 5], [149], [64, 128]],
    [KimiDeltaKernel.chunkwise(chunk: 32), .recurrent])
  func `pieces equal the whole`(cuts: [Int], kernel: KimiDeltaKernel) throws {
    let model = try Model(CheckedCheckpoint(Checkpoint(Fixtures.nano)))
    let options = Model.Options(kernel: kernel, workers: Workers(count: 2))
    var whole = [SequenceState(model.configuration)]
    let expected = try model.run(
      Self.tokens, sequences: [0..<150], states: &whole, options: options)

    var states = [SequenceState(model.configuration)]
    var found: [Float] = []
    for (start, end) in zip([0] + cuts, cuts + [150]) {
      let piece = Array(Self.tokens[start..<end])
      found += try model.run(
        piece, sequences: [0..<piece.count], states: &states, options: options
      ).elements
    }
    #expect(states[0].tokenCount == 150)
    let difference = zip(found, expected.elements).map { abs($0 - $1) }.max() ?? .infinity
    let scale = expected.elements.map(abs).max() ?? 1
    #expect(difference < 2e-4 * scale)
  }

  @Test func `sequences of a batch do not see each other`() throws {
    let model = try Model(CheckedCheckpoint(Checkpoint(Fixtures.nano)))
    let options = Model.Options(kernel: .chunkwise(chunk: 64), workers: Workers(count: 2))
    let parts = [0..<40, 40..<41, 41..<150]
    var states = parts.map { _ in SequenceState(model.configuration) }
    let together = try model.run(
      Self.tokens, sequences: parts, states: &states, options: options)
    for part in parts {
      var state = [SequenceState(model.configuration)]
      let alone = try model.run(
        Array(Self.tokens[part]), sequences: [0..<part.count], states: &state, options: options)
      let scale = alone.elements.map(abs).max() ?? 1
      for (row, index) in part.enumerated() {
        let difference = zip(together.row(index), alone.row(row)).map { abs($0 - $1) }.max() ?? 1
        #expect(difference < 1e-4 * scale)
      }
    }
  }
}

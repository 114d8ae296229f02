// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// Single tokens of Kimi delta attention.
@Suite struct KimiDeltaStepTests {
  static let shapes = [
    KimiDeltaShape(heads: 1, keyDimension: 128, valueDimension: 128),
    KimiDeltaShape(heads: 1, keyDimension: 13, valueDimension: 48),
    KimiDeltaShape(heads: 1, keyDimension: 32, valueDimension: 37),
    KimiDeltaShape(heads: 1, keyDimension: 1, valueDimension: 16),
  ]

  /// Advances a problem of one head step by step.
  private func stepped(_ problem: DeltaProblem, on set: InstructionSet) -> DeltaProblem.Result {
    var output = Matrix(rows: problem.values.rows, columns: problem.values.columns)
    var state = problem.states[0]
    var workspace = [Float](
      repeating: 0, count: KimiDeltaStep.workspaceCount(problem.shape))
    for row in 0..<output.rows {
      var part = Array(problem.values.row(row))
      var states = state.elements.mutableSpan
      var parts = part.mutableSpan
      var scratch = workspace.mutableSpan
      KimiDeltaStep.advance(
        query: problem.queries.rowSpan(row), key: problem.keys.rowSpan(row),
        value: &parts, logDecay: problem.logDecay.rowSpan(row),
        beta: problem.beta[row, 0], shape: problem.shape, state: &states,
        workspace: &scratch, on: set)
      output.elements.replaceSubrange(
        row * output.columns..<(row + 1) * output.columns, with: part)
    }
    return DeltaProblem.Result(output: output, states: [state])
  }

  @Test(arguments: shapes, DeltaProblem.Gates.allCases)
  func `steps agree with the reference`(shape: KimiDeltaShape, gates: DeltaProblem.Gates) {
    var generator = SeededGenerator(seed: 51)
    let problem = DeltaProblem(shape: shape, lengths: [33], gates: gates, generator: &generator)
    let expected = problem.reference()
    let bound = shape.keyDimension == 1 ? 3e-5 : 3e-6
    for set in InstructionSet.available {
      #expect(stepped(problem, on: set).error(against: expected) < bound, "\(set)")
    }
    let fused = InstructionSet.available.filter { $0 != .portable }.map { stepped(problem, on: $0) }
    #expect(fused.allSatisfy { $0 == fused[0] })
  }
}

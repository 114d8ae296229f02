// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport

/// Operands of one call of Kimi delta attention.
struct DeltaProblem {
  let shape: KimiDeltaShape
  var queries: Matrix
  var keys: Matrix
  var values: Matrix
  var logDecay: Matrix
  var beta: Matrix
  var sequences: [Range<Int>]
  var states: [KimiDeltaState]

  /// Output and final states.
  struct Result: Equatable {
    let output: Matrix
    let states: [KimiDeltaState]
  }

  /// How strong the random decays are.
  enum Gates: CaseIterable, Sendable {
    /// g = 0 all along.
    case none
    /// What a trained model has most of the time.
    case mild
    /// Between 0 and -30, where sums of logs lose digits and exp(-G) overflows within few steps.
    case strong
    /// Mild, with -200 and -infinity in single steps and channels.
    case cut
  }

  /// Random operands for sequences of these lengths, with random states.
  init(
    shape: KimiDeltaShape, lengths: [Int], gates: Gates, generator: inout SeededGenerator
  ) {
    self.shape = shape
    let rows = lengths.reduce(0, +)
    let (keyColumns, valueColumns) = (
      shape.heads * shape.keyDimension, shape.heads * shape.valueDimension
    )
    func random(_ columns: Int, _ range: ClosedRange<Float>) -> Matrix {
      Matrix(
        rows: rows, columns: columns, elements: generator.floats(rows * columns, in: range))
    }
    queries = random(keyColumns, -2...2)
    keys = random(keyColumns, -2...2)
    values = random(valueColumns, -1...1)
    beta = random(shape.heads, 0...1)
    logDecay =
      switch gates {
      case .none: Matrix(rows: rows, columns: keyColumns)
      case .mild, .cut: random(keyColumns, -0.5...0)
      case .strong: random(keyColumns, -30...0)
      }
    if gates == .cut {
      for index in logDecay.elements.indices where Int.random(in: 0..<40, using: &generator) == 0 {
        logDecay.elements[index] = Bool.random(using: &generator) ? -200 : -.infinity
      }
    }
    var start = 0
    sequences = lengths.map { length in
      defer { start += length }
      return start..<start + length
    }
    states = lengths.map { _ in
      var state = KimiDeltaState(zeros: shape)
      state.elements = generator.floats(state.elements.count, in: -1...1)
      return state
    }
  }

  /// The operands of a golden file; one sequence.
  init(_ golden: GoldenTensors) throws {
    let (keyShape, valueShape) = (try golden.shape("k"), try golden.shape("v"))
    let shape = KimiDeltaShape(
      heads: keyShape[1], keyDimension: keyShape[2], valueDimension: valueShape[2])
    let rows = keyShape[0]
    func matrix(_ name: String, _ columns: Int) throws -> Matrix {
      Matrix(rows: rows, columns: columns, elements: try golden.elements(name))
    }
    self.shape = shape
    queries = try matrix("q", keyShape[1] * keyShape[2])
    keys = try matrix("k", keyShape[1] * keyShape[2])
    values = try matrix("v", valueShape[1] * valueShape[2])
    logDecay = try matrix("g", keyShape[1] * keyShape[2])
    beta = try matrix("beta", keyShape[1])
    sequences = [0..<rows]
    var state = KimiDeltaState(zeros: shape)
    state.elements = try golden.elements("initial_state")
    states = [state]
  }

  /// The operands of some rows, as one sequence with a given state.
  func part(_ rows: Range<Int>, state: KimiDeltaState) -> DeltaProblem {
    var part = self
    part.queries = queries.block(rows: rows, columns: 0..<queries.columns)
    part.keys = keys.block(rows: rows, columns: 0..<keys.columns)
    part.values = values.block(rows: rows, columns: 0..<values.columns)
    part.logDecay = logDecay.block(rows: rows, columns: 0..<logDecay.columns)
    part.beta = beta.block(rows: rows, columns: 0..<beta.columns)
    part.sequences = [0..<rows.count]
    part.states = [state]
    return part
  }

  func result(
    _ kernel: KimiDeltaKernel, threads: Int = 1, on instructions: InstructionSet = .best
  ) -> Result {
    var states = states
    var output = values
    kimiDelta(
      kernel, queries: queries, keys: keys, values: &output, logDecay: logDecay, beta: beta,
      sequences: sequences, states: &states, shape: shape, workers: Workers(count: threads),
      on: instructions)
    return Result(output: output, states: states)
  }

  func reference() -> Result {
    var states = states
    let output = referenceKimiDelta(
      queries: queries, keys: keys, values: values, logDecay: logDecay, beta: beta,
      sequences: sequences, states: &states, shape: shape)
    return Result(output: output, states: states)
  }
}

extension DeltaProblem.Result {
  /// The larger of the relative errors of outputs and of states.
  func error(against expected: DeltaProblem.Result) -> Double {
    max(
      relativeError(output.elements, expected.output.elements),
      relativeError(states.flatMap(\.elements), expected.states.flatMap(\.elements)))
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// Properties of the fast kernels on random operands of awkward sizes.
struct KimiDeltaPropertyTests {
  static let lengths = [1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130]
  static let kernels: [KimiDeltaKernel] =
    [.passes, .recurrent] + [1, 7, 16, 32, 64, 100].map { .chunkwise(chunk: $0) }
  static let shapes = [
    KimiDeltaShape(heads: 2, keyDimension: 32, valueDimension: 64),
    KimiDeltaShape(heads: 1, keyDimension: 13, valueDimension: 37),
    KimiDeltaShape(heads: 3, keyDimension: 1, valueDimension: 1),
    KimiDeltaShape(heads: 1, keyDimension: 5, valueDimension: 130),
  ]

  @Test(arguments: lengths, DeltaProblem.Gates.allCases)
  func fastKernelsAgreeWithTheReference(length: Int, gates: DeltaProblem.Gates) {
    var generator = SeededGenerator()
    for shape in Self.shapes {
      let problem = DeltaProblem(
        shape: shape, lengths: [length], gates: gates, generator: &generator)
      let expected = problem.reference()
      // With one channel and no decay every key is the same: rounding errors add up instead of
      // averaging out.
      let bound = shape.keyDimension == 1 ? 3e-5 : 3e-6
      for kernel in Self.kernels {
        let error = problem.result(kernel).error(against: expected)
        #expect(error < bound, "\(shape) \(kernel)")
      }
    }
  }

  @Test(arguments: kernels)
  func fusedMultiplyAddsGiveTheSameBits(kernel: KimiDeltaKernel) {
    var generator = SeededGenerator()
    for shape in Self.shapes + [.init(heads: 1, keyDimension: 128, valueDimension: 128)] {
      for (length, gates) in zip([1, 40, 77, 130], DeltaProblem.Gates.allCases) {
        let problem = DeltaProblem(
          shape: shape, lengths: [length], gates: gates, generator: &generator)
        let fused = InstructionSet.available.filter { $0 != .portable }
        let portable = problem.result(kernel, on: .portable)
        let expected = fused.first.map { problem.result(kernel, on: $0) } ?? portable
        #expect(portable.error(against: expected) < 3e-6, "\(shape) portable")
        for instructions in fused {
          let result = problem.result(kernel, on: instructions)
          let isSame =
            sameBits(result.output.elements, expected.output.elements)
            && sameBits(result.states[0].elements, expected.states[0].elements)
          #expect(isSame, "\(shape) \(instructions)")
        }
      }
    }
  }

  @Test(arguments: kernels, [1, 5, 16, 32, 33, 64, 65, 96])
  func twoCallsEqualOne(kernel: KimiDeltaKernel, cut: Int) {
    var generator = SeededGenerator()
    let shape = Self.shapes[1]
    let whole = DeltaProblem(shape: shape, lengths: [130], gates: .cut, generator: &generator)
    let first = whole.part(0..<cut, state: whole.states[0]).result(kernel)
    let second = whole.part(cut..<130, state: first.states[0]).result(kernel)
    let both = DeltaProblem.Result(
      output: Matrix(
        rows: 130, columns: first.output.columns,
        elements: first.output.elements + second.output.elements),
      states: second.states)
    let once = whole.result(kernel)
    #expect(both.error(against: once) < 3e-6)
    let isExact =
      switch kernel {
      case .passes: true
      case .recurrent: cut % KimiDeltaKernel.recurrentRun == 0
      case .chunkwise(let chunk): cut % chunk == 0
      }
    let isEqual = both == once
    #expect(isEqual || !isExact)
  }

  @Test(arguments: kernels)
  func sequencesOfABatchEqualThemselvesAlone(kernel: KimiDeltaKernel) {
    var generator = SeededGenerator()
    var batch = DeltaProblem(
      shape: Self.shapes[0], lengths: [17, 1, 70, 0, 33], gates: .mild, generator: &generator)
    // Rows that belong to no sequence, and sequences in another order than their rows.
    batch.sequences[2] = batch.sequences[2].dropFirst(3)
    batch.sequences.swapAt(0, 4)
    let together = batch.result(kernel, threads: 2)
    for (index, rows) in batch.sequences.enumerated() {
      let alone = batch.part(rows, state: batch.states[index]).result(kernel)
      let columns = 0..<together.output.columns
      let isSame =
        together.output.block(rows: rows, columns: columns) == alone.output
        && together.states[index] == alone.states[0]
      #expect(isSame, "sequence \(index)")
    }
    #expect(together.output.row(18) == batch.values.row(18))
  }

  @Test(arguments: kernels)
  func threadsDoNotChangeABit(kernel: KimiDeltaKernel) {
    var generator = SeededGenerator()
    // Four heads, two or one go to a thread, depending on how many there are.
    let shape = KimiDeltaShape(heads: 4, keyDimension: 24, valueDimension: 40)
    let problem = DeltaProblem(
      shape: shape, lengths: [100, 5, 64], gates: .strong, generator: &generator)
    let expected = problem.result(kernel)
    for threads in [2, 5, 12] {
      let isSame = problem.result(kernel, threads: threads) == expected
      #expect(isSame, "\(threads) threads")
    }
  }

  @Test(arguments: kernels, [DeltaProblem.Gates.none, .mild, .strong])
  func largeStatesDoNotOverflow(kernel: KimiDeltaKernel, gates: DeltaProblem.Gates) {
    var generator = SeededGenerator()
    var problem = DeltaProblem(
      shape: Self.shapes[0], lengths: [70], gates: gates, generator: &generator)
    problem.states[0].elements = problem.states[0].elements.map { $0 * 1e30 }
    #expect(problem.result(kernel).error(against: problem.reference()) < 3e-6)
  }

  @Test(arguments: kernels)
  func oneTokenByHand(kernel: KimiDeltaKernel) {
    // So small that the 1e-6 under the root counts: 1e-3 / sqrt(1e-6 + 1e-6) = sqrt(0.5).
    func one(_ number: Float) -> Matrix { Matrix(rows: 1, columns: 1, elements: [number]) }
    let shape = KimiDeltaShape(heads: 1, keyDimension: 1, valueDimension: 1)
    var states = [KimiDeltaState(zeros: shape)]
    states[0].elements = [4]
    var output = one(3)
    kimiDelta(
      kernel, queries: one(1e-3), keys: one(1e-3), values: &output, logDecay: one(-0.693_147_2),
      beta: one(0.5), sequences: [0..<1], states: &states, shape: shape,
      workers: Workers(count: 1))
    // S = 4 / 2; the correction is beta * (v - k S) with k = root, and S grows by k times it.
    let root = Float(0.5).squareRoot()
    let state = 2 + root * (3 - 2 * root) / 2
    #expect(abs(states[0].elements[0] - state) < 1e-6)
    #expect(abs(output[0, 0] - root * state) < 1e-6)
  }

  @Test(arguments: kernels)
  func aCutForgetsEverythingBeforeIt(kernel: KimiDeltaKernel) {
    var generator = SeededGenerator()
    var problem = DeltaProblem(
      shape: Self.shapes[0], lengths: [40], gates: .none, generator: &generator)
    let columns = problem.logDecay.columns
    for channel in 0..<columns { problem.logDecay.elements[21 * columns + channel] = -200 }
    let whole = problem.result(kernel)
    let rest = problem.part(21..<40, state: KimiDeltaState(zeros: problem.shape)).result(kernel)
    let afterCut = whole.output.block(rows: 21..<40, columns: 0..<whole.output.columns)
    #expect(relativeError(afterCut.elements, rest.output.elements) < 1e-6)
    #expect(relativeError(whole.states[0].elements, rest.states[0].elements) < 1e-6)
  }
}

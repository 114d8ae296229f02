// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

struct ShortConvolutionTests {
  private struct Problem {
    let input: Matrix
    let weights: ShortConvolutionWeights
    let sequences: [Range<Int>]
    var states: [ShortConvolutionState]

    init(channels: Int, kernel: Int, lengths: [Int], generator: inout SeededGenerator) {
      let rows = lengths.reduce(0, +)
      input = Matrix(
        rows: rows, columns: channels,
        elements: generator.floats(rows * channels, in: -2...2))
      weights = ShortConvolutionWeights(
        generator.floats(channels * kernel, in: -1...1), kernel: kernel)
      var start = 0
      sequences = lengths.map { length in
        defer { start += length }
        return start..<start + length
      }
      states = lengths.map { _ in
        var state = ShortConvolutionState(channels: channels, kernel: kernel)
        state.elements = generator.floats(state.elements.count, in: -2...2)
        return state
      }
    }

    func fast(
      threads: Int = 1, on instructions: InstructionSet = .best
    ) -> (Matrix, [ShortConvolutionState]) {
      var states = states
      var output = input
      shortConvolution(
        &output, weights: weights, sequences: sequences, states: &states,
        workers: Workers(count: threads), on: instructions)
      return (output, states)
    }

    func reference() -> (Matrix, [ShortConvolutionState]) {
      var states = states
      let output = referenceShortConvolution(
        input, weights: weights, sequences: sequences, states: &states)
      return (output, states)
    }
  }

  @Test func oneChannelByHand() {
    // Before the start are zeros; the last weight belongs to the newest input.
    let weights = ShortConvolutionWeights([1, 10, 100], kernel: 3)
    var states = [ShortConvolutionState(channels: 1, kernel: 3)]
    var output = Matrix(rows: 4, columns: 1, elements: [1, 2, 3, 4])
    shortConvolution(
      &output, weights: weights, sequences: [0..<4], states: &states, workers: Workers(count: 1))
    // SiLU of sums this large is the sum itself.
    #expect(output.elements == [100, 210, 321, 432])
    #expect(states[0].elements == [3, 4])
  }

  @Test(arguments: [1, 2, 3, 4, 5, 9], [1, 5, 64, 300])
  func fastAgreesWithTheReference(kernel: Int, channels: Int) {
    var generator = SeededGenerator()
    let problem = Problem(
      channels: channels, kernel: kernel, lengths: [1, 2, 3, 4, 0, 40], generator: &generator)
    let (output, states) = problem.fast()
    let (expected, expectedStates) = problem.reference()
    #expect(relativeError(output.elements, expected.elements) < 3e-7)
    #expect(states == expectedStates)
    for (threads, set) in zip([2, 5, 1], InstructionSet.available + [.portable]) {
      let other = problem.fast(threads: threads, on: set)
      #expect(sameBits(other.0.elements, output.elements))
      #expect(other.1 == states)
    }
  }

  @Test(arguments: [1, 2, 4, 7], [1, 2, 3, 5, 16, 17])
  func twoCallsEqualOne(kernel: Int, cut: Int) {
    var generator = SeededGenerator()
    let problem = Problem(
      channels: 33, kernel: kernel, lengths: [20], generator: &generator)
    let (whole, wholeStates) = problem.fast()
    var states = problem.states
    var elements: [Float] = []
    for rows in [0..<cut, cut..<20] {
      var part = problem.input.block(rows: rows, columns: 0..<33)
      shortConvolution(
        &part, weights: problem.weights, sequences: [0..<rows.count], states: &states,
        workers: Workers(count: 1))
      elements += part.elements
    }
    #expect(elements == whole.elements)
    #expect(states == wholeStates)
  }
}

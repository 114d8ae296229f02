// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// Convolves all rows, in pieces of some rows and some channels.
private func convolve(
  _ matrix: inout Matrix, _ weights: ShortConvolutionWeights, sequences: [Range<Int>],
  states: inout [ShortConvolutionState], rowsPerPiece: Int = 12, channelsPerPiece: Int = 128,
  threads: Int = 1, on instructions: InstructionSet = .best
) {
  let (rows, channels) = (matrix.rows, matrix.columns)
  matrix.withSharedRows { matrix in
    ShortConvolution.with(weights, sequences: sequences, states: &states, on: instructions) {
      convolution in
      let parts = (channels + channelsPerPiece - 1) / channelsPerPiece
      Workers(count: threads).forEach(parts) { part in
        let first = part * channelsPerPiece
        for row in stride(from: 0, to: rows, by: rowsPerPiece) {
          convolution.apply(
            to: matrix, rows: row..<min(row + rowsPerPiece, rows),
            channels: first..<min(first + channelsPerPiece, channels))
        }
      }
    }
  }
}

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
      rowsPerPiece: Int = 12, channelsPerPiece: Int = 128, threads: Int = 1,
      on instructions: InstructionSet = .best
    ) -> (Matrix, [ShortConvolutionState]) {
      var states = states
      var output = input
      convolve(
        &output, weights, sequences: sequences, states: &states, rowsPerPiece: rowsPerPiece,
        channelsPerPiece: channelsPerPiece, threads: threads, on: instructions)
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
    convolve(&output, weights, sequences: [0..<4], states: &states)
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
    for (index, set) in (InstructionSet.available + [.portable]).enumerated() {
      let other = problem.fast(
        rowsPerPiece: [1, 5, 12, 100][index % 4], channelsPerPiece: [300, 64, 17, 128][index % 4],
        threads: [2, 5, 1][index % 3], on: set)
      #expect(
        set.hasBitsOfTheBest
          ? sameBits(other.0.elements, output.elements)
          : relativeError(other.0.elements, output.elements) < 3e-7, "\(set)")
      #expect(other.1 == states)
    }
  }

  @Test func rowsOfNoSequenceStay() {
    var generator = SeededGenerator()
    let weights = ShortConvolutionWeights(generator.floats(20 * 4, in: -1...1), kernel: 4)
    let input = Matrix(rows: 9, columns: 20, elements: generator.floats(180, in: -2...2))
    let sequences = [5..<8, 1..<3]
    var states = sequences.map { _ in ShortConvolutionState(channels: 20, kernel: 4) }
    var output = input
    convolve(&output, weights, sequences: sequences, states: &states, rowsPerPiece: 4)
    for row in [0, 3, 4, 8] { #expect(output.row(row) == input.row(row)) }
    for (index, sequence) in sequences.enumerated() {
      var alone = input.block(rows: sequence, columns: 0..<20)
      var state = [ShortConvolutionState(channels: 20, kernel: 4)]
      convolve(&alone, weights, sequences: [0..<sequence.count], states: &state)
      #expect(alone.elements == output.block(rows: sequence, columns: 0..<20).elements)
      #expect(state[0] == states[index])
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
      convolve(&part, problem.weights, sequences: [0..<rows.count], states: &states)
      elements += part.elements
    }
    #expect(elements == whole.elements)
    #expect(states == wholeStates)
  }
}

// SPDX-License-Identifier: Apache-2.0

internal import CKernels
internal import Glibc
package import TensorCore

/// The weights of a short convolution, in the order in which they are used.
package struct ShortConvolutionWeights: Sendable, Equatable {
  /// Length of the row of one token.
  package let channels: Int
  /// How many inputs one output sees, its own included; at least 1.
  package let kernel: Int
  /// `[kernel, channels]`: channels are computed side by side, so the weights of one tap have to
  /// be neighbours.
  let taps: [Float]

  /// Weights as a checkpoint stores them.
  ///
  /// - Parameters:
  ///   - elements: `[channels, kernel]`, the newest input last.
  ///   - kernel: Taps.
  /// - Precondition: The elements are whole channels.
  package init(_ elements: [Float], kernel: Int) {
    precondition(kernel >= 1 && elements.count % kernel == 0, "weights of another shape")
    channels = elements.count / kernel
    self.kernel = kernel
    var taps = [Float](repeating: 0, count: elements.count)
    for channel in 0..<channels {
      for tap in 0..<kernel { taps[tap * channels + channel] = elements[channel * kernel + tap] }
    }
    self.taps = taps
  }

  /// The weight of a channel for the input of `kernel - 1 - tap` tokens ago.
  package subscript(channel channel: Int, tap tap: Int) -> Float { taps[tap * channels + channel] }
}

/// What a short convolution remembers of a sequence: its last inputs.
package struct ShortConvolutionState: Sendable, Equatable {
  /// The last `kernel - 1` inputs, oldest first: `[kernel - 1, channels]`; zeros before the start.
  package var elements: [Float]

  /// The state before the first token.
  package init(channels: Int, kernel: Int) {
    elements = [Float](repeating: 0, count: (kernel - 1) * channels)
  }
}

/// Depthwise causal convolution over time with SiLU, written to be read.
///
///     y[t, c] = sum_j w[c, j] * u[t - (kernel - 1) + j, c],   output = y * sigmoid(y)
///
/// Inputs before a sequence's first token come from its state. The sum runs over j in ascending
/// order in float32, as in `shortConvolution`; results agree up to the error of the exponential.
///
/// Parameters as for `shortConvolution`.
package func referenceShortConvolution(
  _ input: Matrix, weights: ShortConvolutionWeights, sequences: [Range<Int>],
  states: inout [ShortConvolutionState]
) -> Matrix {
  let (channels, kernel) = (weights.channels, weights.kernel)
  var output = Matrix(rows: input.rows, columns: channels)
  for (index, sequence) in sequences.enumerated() {
    let past = kernel - 1
    let history = states[index].elements + sequence.flatMap { input.row($0) }
    for (token, row) in sequence.enumerated() {
      for channel in 0..<channels {
        var total: Float = 0
        for tap in 0..<kernel {
          total += weights[channel: channel, tap: tap] * history[(token + tap) * channels + channel]
        }
        output[row, channel] = Float(
          Double(total) / (1 + exp(-Double(total))))
      }
    }
    states[index].elements = Array(history.suffix(past * channels))
  }
  return output
}

/// Depthwise causal convolution over time with SiLU; see `referenceShortConvolution`.
///
/// - Parameters:
///   - input: `[N, channels]`, the tokens of all sequences.
///   - weights: One row of taps for each channel.
///   - sequences: Disjoint ranges of rows; rows of none stay zero.
///   - states: One for each sequence; replaced by the state after its last token.
///   - workers: Threads; runs of 16 tokens are items of work.
///   - instructions: Which C kernels run.
/// - Returns: `[N, channels]`.
/// - Complexity: 2 * N * channels * kernel flops and N * channels exponentials.
package func shortConvolution(
  _ input: Matrix, weights: ShortConvolutionWeights, sequences: [Range<Int>],
  states: inout [ShortConvolutionState], workers: Workers,
  on instructions: InstructionSet = .best
) -> Matrix {
  let (channels, kernel) = (weights.channels, weights.kernel)
  precondition(input.columns == channels, "weights of another shape")
  precondition(states.count == sequences.count, "one state for each sequence")
  for (state, sequence) in zip(states, sequences) {
    precondition(state.elements.count == (kernel - 1) * channels, "a state of another shape")
    precondition(sequence.lowerBound >= 0 && sequence.upperBound <= input.rows, "rows outside")
  }
  let histories = states
  let items = itemsOf(sequences)
  var output = Matrix(rows: input.rows, columns: channels)
  output.withSharedRows { output in
    workers.forEach(items.count) { item in
      let sequence = items[item].sequence
      let start = sequences[sequence].lowerBound
      for row in items[item].rows {
        convolveToken(
          row - start, sequenceStart: start, input: input, history: histories[sequence],
          weights: weights, output: output, on: instructions)
      }
    }
  }
  for (index, sequence) in sequences.enumerated() {
    advance(&states[index], by: sequence, of: input, past: kernel - 1)
  }
  return output
}

/// Rows of one sequence that one thread computes.
private struct ConvolutionItem: Sendable {
  let sequence: Int
  let rows: Range<Int>
}

/// Runs of at most 16 tokens, so that one long sequence keeps all threads busy.
private func itemsOf(_ sequences: [Range<Int>]) -> [ConvolutionItem] {
  let run = 16
  return sequences.enumerated().flatMap { index, sequence in
    stride(from: sequence.lowerBound, to: sequence.upperBound, by: run).map { first in
      ConvolutionItem(
        sequence: index, rows: first..<min(first + run, sequence.upperBound))
    }
  }
}

private func convolveToken(
  _ token: Int, sequenceStart: Int, input: Matrix, history: ShortConvolutionState,
  weights: ShortConvolutionWeights, output: SharedRows, on instructions: InstructionSet
) {
  let (channels, kernel) = (weights.channels, weights.kernel)
  unsafe input.elements.withUnsafeBufferPointer { input in
    unsafe history.elements.withUnsafeBufferPointer { history in
      guard let input = input.baseAddress else { return }
      unsafe withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: kernel) {
        rows in
        for tap in 0..<kernel {
          let source = token + tap - (kernel - 1)
          unsafe rows[tap] =
            source >= 0
            ? input + (sequenceStart + source) * channels
            : history.baseAddress.map { unsafe $0 + (source + kernel - 1) * channels }
        }
        unsafe kiln_short_convolution(
          instructions.code, rows.baseAddress, weights.taps, kernel,
          output.address(row: sequenceStart + token, column: 0), channels)
      }
    }
  }
}

/// Shifts the inputs of a sequence into its state.
private func advance(
  _ state: inout ShortConvolutionState, by sequence: Range<Int>, of input: Matrix, past: Int
) {
  let channels = input.columns
  let taken = min(past, sequence.count)
  let first = (sequence.upperBound - taken) * channels
  state.elements.removeFirst(taken * channels)
  state.elements.append(contentsOf: input.elements[first..<first + taken * channels])
}

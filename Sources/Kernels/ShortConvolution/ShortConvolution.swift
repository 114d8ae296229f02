// SPDX-License-Identifier: Apache-2.0

internal import CKernels
internal import Glibc

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
/// order in float32, as in `ShortConvolution`; results agree up to the error of the exponential.
///
/// - Parameters:
///   - input: `[N, channels]`, the inputs of all sequences.
///   - weights: One row of taps for each channel.
///   - sequences: Disjoint ranges of rows.
///   - states: One for each sequence; replaced by the state after its last token.
/// - Returns: The outputs, `[N, channels]`; 0 in rows of no sequence.
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

/// Depthwise causal convolution over time with SiLU, in place, some tokens and channels at a time; see
/// `referenceShortConvolution`.
///
/// A channel takes the tokens of a sequence in their order, in pieces of any length: what comes before a
/// piece is in the state of the sequence. Pieces of other channels may be on other threads.
package struct ShortConvolution: Sendable {
  private let weights: ShortConvolutionWeights
  private let sequences: [Range<Int>]
  /// Indices of the sequences of all rows.
  private let owners: [Int?]
  private let histories: [SharedRows]
  private let instructions: InstructionSet

  /// Lends a convolution whose sequences go on from their states.
  ///
  /// - Parameters:
  ///   - weights: One row of taps for each channel.
  ///   - sequences: Disjoint ranges of rows; rows of none stay as they are.
  ///   - states: One for each sequence; replaced by the state after its last token, in place.
  ///   - instructions: Which C kernels run.
  ///   - body: Applies it to each channel of each row once.
  /// - Returns: What `body` returns.
  package static func with<Result>(
    _ weights: ShortConvolutionWeights, sequences: [Range<Int>],
    states: inout [ShortConvolutionState], on instructions: InstructionSet = .best,
    _ body: (ShortConvolution) -> Result
  ) -> Result {
    let (channels, past) = (weights.channels, weights.kernel - 1)
    precondition(states.count == sequences.count, "one state for each sequence")
    var owners = [Int?](repeating: nil, count: sequences.map(\.upperBound).max() ?? 0)
    for (index, sequence) in sequences.enumerated() {
      precondition(states[index].elements.count == past * channels, "a state of another shape")
      for row in sequence {
        precondition(owners[row] == nil, "sequences overlap")
        owners[row] = index
      }
    }
    // States move into matrices and back; nothing is copied.
    var histories = states.indices.map { index in
      var elements: [Float] = []
      swap(&elements, &states[index].elements)
      return Matrix(rows: past, columns: channels, elements: elements)
    }
    defer {
      for index in states.indices { swap(&states[index].elements, &histories[index].elements) }
    }
    return withSharedRows(of: &histories) { histories in
      body(
        ShortConvolution(
          weights: weights, sequences: sequences, owners: owners, histories: histories,
          instructions: instructions))
    }
  }

  /// Convolves some channels of some rows.
  ///
  /// - Parameters:
  ///   - matrix: `[N, channels]`, the inputs of all sequences; become the outputs.
  ///   - rows: Which rows: those behind the rows of an earlier call for these channels.
  ///   - channels: Which columns.
  /// - Complexity: 2 * kernel flops and an exponential for each element.
  package func apply(to matrix: SharedRows, rows: Range<Int>, channels: Range<Int>) {
    precondition(
      owners.count <= matrix.rows && matrix.columns == weights.channels && rows.lowerBound >= 0
        && rows.upperBound <= matrix.rows
        && channels.lowerBound >= 0 && channels.upperBound <= matrix.columns, "a place outside")
    var row = rows.lowerBound
    while row < min(rows.upperBound, owners.count) {
      guard let owner = owners[row] else {
        row += 1
        continue
      }
      let end = min(sequences[owner].upperBound, rows.upperBound)
      unsafe weights.taps.withUnsafeBufferPointer { taps in
        unsafe kiln_short_convolution(
          instructions.code, matrix.address(row: row, column: channels.lowerBound), end - row,
          weights.channels, histories[owner].address(row: 0, column: channels.lowerBound),
          taps.baseAddress.map { unsafe $0 + channels.lowerBound }, weights.kernel, channels.count)
      }
      row = end
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

internal import CKernels

/// The log decay of Kimi delta attention, in place of what it is computed from.
///
///     g[t, h, c] = -exp(A_log[h]) * softplus(x[t, h, c] + dt_bias[h, c]) <= 0
///
/// Relative error within 8 ulp; there is no lower bound.
package struct KimiDeltaLogDecay: Sendable {
  /// exp(A_log), one for each head.
  private let rates: [Float]
  /// dt_bias `[H * K]`.
  private let bias: [Float]
  /// K.
  private let width: Int
  private let instructions: InstructionSet

  /// - Parameters:
  ///   - rateLogarithms: A_log, one for each head; more are padding and passed over.
  ///   - bias: dt_bias `[H * K]`.
  ///   - shape: H and K.
  ///   - instructions: Which C kernels run.
  package init(
    rateLogarithms: [Float], bias: [Float], shape: KimiDeltaShape,
    on instructions: InstructionSet = .best
  ) {
    precondition(
      rateLogarithms.count >= shape.heads && bias.count == shape.heads * shape.keyDimension,
      "parameters of another shape")
    var rates = Array(rateLogarithms.prefix(shape.heads))
    var span = rates.mutableSpan
    exponential(&span, on: instructions)
    self.rates = rates
    self.bias = bias
    width = shape.keyDimension
    self.instructions = instructions
  }

  /// Computes some columns of some rows.
  ///
  /// - Parameters:
  ///   - projection: x `[N, H * K]`, the output of f_b f_a; becomes g.
  ///   - rows: Which rows.
  ///   - columns: Which columns.
  package func apply(to projection: SharedRows, rows: Range<Int>, columns: Range<Int>) {
    precondition(projection.columns == bias.count, "the projection is not [N, H * K]")
    for row in rows {
      var column = columns.lowerBound
      while column < columns.upperBound {
        let head = column / width
        let end = min((head + 1) * width, columns.upperBound)
        projection.withRow(row, columns: column..<end) { channels in
          kimiDeltaLogDecay(
            &channels, bias: bias.span.extracting(column..<end), rate: rates[head],
            on: instructions)
        }
        column = end
      }
    }
  }
}

/// The log decay of one head for one token; `KimiDeltaLogDecay` has the equation.
///
/// - Parameters:
///   - channels: The output of f_b f_a, `[K]` or some of it; becomes the log decay.
///   - bias: dt_bias of the same channels.
///   - rate: exp(A_log) of the head.
///   - instructions: Which C kernels run.
package func kimiDeltaLogDecay(
  _ channels: inout MutableSpan<Float>, bias: Span<Float>, rate: Float,
  on instructions: InstructionSet = .best
) {
  precondition(channels.count == bias.count, "a bias for each channel")
  unsafe channels.withUnsafeMutableBufferPointer { x in
    unsafe bias.withUnsafeBufferPointer { bias in
      unsafe kiln_log_decay(instructions.code, x.baseAddress, bias.baseAddress, -rate, x.count)
    }
  }
}

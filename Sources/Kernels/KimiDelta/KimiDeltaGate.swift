// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// The log decay of Kimi delta attention, in place of what it is computed from.
///
///     g[t, h, c] = -exp(A_log[h]) * softplus(x[t, h, c] + dt_bias[h, c]) <= 0
///
/// Relative error within 8 ulp; there is no lower bound.
///
/// - Parameters:
///   - projection: x `[N, H * K]`, the output of f_b f_a; becomes g.
///   - rateLogarithms: A_log, one for each head; more are padding and passed over.
///   - bias: dt_bias `[H * K]`.
///   - shape: H and K.
///   - workers: Threads; rows are items of work.
///   - instructions: Which C kernels run.
package func kimiDeltaLogDecay(
  _ projection: inout Matrix, rateLogarithms: [Float], bias: [Float], shape: KimiDeltaShape,
  workers: Workers, on instructions: InstructionSet = .best
) {
  let (heads, width) = (shape.heads, shape.keyDimension)
  precondition(projection.columns == heads * width, "the projection is not [N, H * K]")
  precondition(rateLogarithms.count >= heads && bias.count == heads * width, "another shape")
  var rates = Array(rateLogarithms.prefix(heads))
  var span = rates.mutableSpan
  exponential(&span, on: instructions)
  let decayRates = rates
  projection.withSharedRows { rows in
    workers.forEach(rows.rows) { row in
      for head in 0..<heads {
        rows.withRow(row, columns: head * width..<(head + 1) * width) { channels in
          unsafe channels.withUnsafeMutableBufferPointer { x in
            unsafe bias.withUnsafeBufferPointer { bias in
              unsafe kiln_log_decay(
                instructions.code, x.baseAddress, bias.baseAddress.map { unsafe $0 + head * width },
                -decayRates[head], width)
            }
          }
        }
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// The output gate of Kimi Delta Attention: each head normalised, times the sigmoid of a gate.
///
///     y[t, h, :] = RMSNorm(o[t, h, :]) * weight * sigmoid(gate[t, h, :])
///
/// - Parameters:
///   - output: o `[N, H * V]`; becomes y.
///   - gate: `[N, H * V]`.
///   - weight: V factors, the same for all heads.
///   - epsilon: Of the norm.
///   - workers: Threads. The result does not depend on their number.
///   - instructions: Which C kernels run.
package func gatedHeadNorm(
  _ output: inout Matrix, gate: Matrix, weight: [Float], epsilon: Float, workers: Workers,
  on instructions: InstructionSet = .best
) {
  precondition(output.rows == gate.rows && output.columns == gate.columns, "shapes differ")
  precondition(!weight.isEmpty && output.columns % weight.count == 0, "broken heads")
  let heads = output.columns / weight.count
  output.forEachRow(workers: workers) { row, elements in
    unsafe elements.withUnsafeMutableBufferPointer { x in
      unsafe gate.elements.withUnsafeBufferPointer { gate in
        unsafe kiln_gated_norm(
          instructions.code, x.baseAddress,
          gate.baseAddress.map { unsafe $0 + row * x.count }, weight, epsilon, heads, weight.count)
      }
    }
  }
}

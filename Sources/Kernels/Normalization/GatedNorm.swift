// SPDX-License-Identifier: Apache-2.0

internal import CKernels

/// The output gate of Kimi Delta Attention for one token: each head normalised, times the sigmoid of a gate.
///
///     y[h, :] = RMSNorm(o[h, :]) * weight * sigmoid(gate[h, :])
///
/// - Parameters:
///   - output: o `[H * V]`; becomes y.
///   - gate: `[H * V]`.
///   - weight: V factors, the same for all heads.
///   - epsilon: Of the norm.
///   - instructions: Which C kernels run.
package func gatedHeadNorm(
  _ output: inout MutableSpan<Float>, gate: Span<Float>, weight: [Float], epsilon: Float,
  on instructions: InstructionSet = .best
) {
  precondition(output.count == gate.count, "shapes differ")
  precondition(!weight.isEmpty && output.count % weight.count == 0, "broken heads")
  let heads = output.count / weight.count
  unsafe output.withUnsafeMutableBufferPointer { x in
    unsafe gate.withUnsafeBufferPointer { gate in
      unsafe kiln_gated_norm(
        instructions.code, x.baseAddress, gate.baseAddress, weight, epsilon, heads, weight.count)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

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
package func gatedHeadNorm(
  _ output: inout Matrix, gate: Matrix, weight: [Float], epsilon: Float, workers: Workers
) {
  precondition(output.rows == gate.rows && output.columns == gate.columns, "shapes differ")
  let heads = output.columns / weight.count
  output.forEachRow(workers: workers) { row, elements in
    for head in 0..<heads {
      var part = elements._mutatingExtracting(head * weight.count..<(head + 1) * weight.count)
      RMSNorm.normalize(&part, weight: weight.span, epsilon: epsilon)
    }
    sigmoidMultiply(&elements, gate: gate.rowSpan(row))
  }
}

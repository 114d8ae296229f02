// SPDX-License-Identifier: Apache-2.0

internal import CKernels

// Functions of single elements, in place. Error bounds hold for every float32 and every instruction set; those
// with fused multiply-adds give the same bits, but for the sign and payload of NaN.

/// x = exp(x), within 1 ulp.
///
/// Edge cases: exactly 0 below -104, subnormal just above it, infinite from 88.73 on; NaN stays NaN.
package func exponential(
  _ x: inout MutableSpan<Float>, on instructions: InstructionSet = .best
) {
  unsafe x.withUnsafeMutableBufferPointer { x in
    unsafe kiln_exp(instructions.code, x.baseAddress, x.count)
  }
}

/// exp(x) of one number; the same bits as in an array.
package func exponential(_ x: Float, on instructions: InstructionSet = .best) -> Float {
  var element: [1 of Float] = [x]
  var span = element.mutableSpan
  exponential(&span, on: instructions)
  return element[0]
}

/// x = 1 / (1 + exp(-x)), within 3 ulp of relative error on both sides.
package func sigmoid(_ x: inout MutableSpan<Float>, on instructions: InstructionSet = .best) {
  unsafe x.withUnsafeMutableBufferPointer { x in
    unsafe kiln_sigmoid(instructions.code, x.baseAddress, x.count)
  }
}

/// 1 / (1 + exp(-x)) of one number; the same bits as in an array.
package func sigmoid(_ x: Float, on instructions: InstructionSet = .best) -> Float {
  var element: [1 of Float] = [x]
  var span = element.mutableSpan
  sigmoid(&span, on: instructions)
  return element[0]
}

/// x = x * sigmoid(x), within 4 ulp above -87 and within 1e-42 below it.
package func silu(_ x: inout MutableSpan<Float>, on instructions: InstructionSet = .best) {
  unsafe x.withUnsafeMutableBufferPointer { x in
    unsafe kiln_silu(instructions.code, x.baseAddress, x.count)
  }
}

/// gate = silu(gate) * up, the middle of a gated feed-forward layer.
///
/// - Precondition: Both have the same length.
package func siluMultiply(
  _ gate: inout MutableSpan<Float>, by up: Span<Float>, on instructions: InstructionSet = .best
) {
  precondition(gate.count == up.count, "gate and up differ in length")
  unsafe gate.withUnsafeMutableBufferPointer { gate in
    unsafe up.withUnsafeBufferPointer { up in
      unsafe kiln_silu_multiply(instructions.code, gate.baseAddress, up.baseAddress, gate.count)
    }
  }
}

/// x = x * sigmoid(gate), the output gate of Kimi delta attention.
///
/// - Precondition: Both have the same length.
package func sigmoidMultiply(
  _ x: inout MutableSpan<Float>, gate: Span<Float>, on instructions: InstructionSet = .best
) {
  precondition(x.count == gate.count, "the gate differs in length")
  unsafe x.withUnsafeMutableBufferPointer { x in
    unsafe gate.withUnsafeBufferPointer { gate in
      unsafe kiln_sigmoid_multiply(instructions.code, x.baseAddress, gate.baseAddress, x.count)
    }
  }
}

/// x = log(1 + exp(x)), within 4 ulp for every x.
///
/// Edge cases: exp(x) for very negative x, subnormal results included; x for large x.
package func softplus(_ x: inout MutableSpan<Float>, on instructions: InstructionSet = .best) {
  unsafe x.withUnsafeMutableBufferPointer { x in
    unsafe kiln_softplus(instructions.code, x.baseAddress, x.count)
  }
}

// SPDX-License-Identifier: Apache-2.0

internal import CKernels
internal import Glibc

// Sums whose order is part of the contract: element i is added to lane i mod 64 (the rest behind
// the last whole 64 to lane i mod 16), and lanes are added pairwise. The relative error of n terms
// of one sign is about (n / 64 + 6) * 2^-24 at most.

/// Sum of x * y.
///
/// - Precondition: Both have the same length.
package func dot(
  _ x: Span<Float>, _ y: Span<Float>, on instructions: InstructionSet = .best
) -> Float {
  precondition(x.count == y.count, "arrays differ in length")
  return unsafe x.withUnsafeBufferPointer { x in
    unsafe y.withUnsafeBufferPointer { y in
      unsafe kiln_dot(instructions.code, x.baseAddress, y.baseAddress, x.count)
    }
  }
}

/// Sum of x * x.
package func sumOfSquares(_ x: Span<Float>, on instructions: InstructionSet = .best) -> Float {
  dot(x, x, on: instructions)
}

/// Sum of x.
package func sum(_ x: Span<Float>, on instructions: InstructionSet = .best) -> Float {
  unsafe x.withUnsafeBufferPointer { x in
    unsafe kiln_sum(instructions.code, x.baseAddress, x.count)
  }
}

/// The largest element; -infinity for none.
///
/// NaN elements are passed over.
package func maximumElement(_ x: Span<Float>, on instructions: InstructionSet = .best) -> Float {
  unsafe x.withUnsafeBufferPointer { x in
    unsafe kiln_maximum(instructions.code, x.baseAddress, x.count)
  }
}

/// Sum of exp(x - shift): terms in float32, their sum in double precision.
package func sumOfExponentials(
  _ x: Span<Float>, minus shift: Float, on instructions: InstructionSet = .best
) -> Double {
  unsafe x.withUnsafeBufferPointer { x in
    unsafe kiln_sum_exp(instructions.code, x.baseAddress, shift, x.count)
  }
}

/// x = exp(x - shift), with the sum of the results: the two passes of a softmax in one.
///
/// - Returns: The sum, formed in double precision and rounded once.
package func exponentiate(
  _ x: inout MutableSpan<Float>, subtracting shift: Float, on instructions: InstructionSet = .best
) -> Float {
  unsafe x.withUnsafeMutableBufferPointer { x in
    unsafe Float(kiln_exp_and_sum(instructions.code, x.baseAddress, shift, x.count))
  }
}

/// log(sum(exp(x))), through the largest element so that nothing overflows.
///
/// - Returns: -infinity for no elements or only -infinity; NaN if an element is NaN.
package func logSumExp(_ x: Span<Float>, on instructions: InstructionSet = .best) -> Double {
  let largest = maximumElement(x, on: instructions)
  // Infinite differences would be NaN; with a shift of 0 the sum is 0, infinite or NaN as it must.
  let shift = largest.isFinite ? largest : 0
  return Double(shift) + log(sumOfExponentials(x, minus: shift, on: instructions))
}

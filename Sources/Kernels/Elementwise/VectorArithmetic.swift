// SPDX-License-Identifier: Apache-2.0

internal import CKernels

// Sums and products of arrays, element by element. Products and sums are rounded separately.

/// y = y + x.
///
/// - Precondition: Both have the same length.
package func add(
  _ x: Span<Float>, to y: inout MutableSpan<Float>, on instructions: InstructionSet = .best
) {
  precondition(x.count == y.count, "arrays differ in length")
  unsafe y.withUnsafeMutableBufferPointer { y in
    unsafe x.withUnsafeBufferPointer { x in
      unsafe kiln_add(instructions.code, y.baseAddress, x.baseAddress, y.count)
    }
  }
}

/// y = y + factor * x.
///
/// - Precondition: Both have the same length.
package func add(
  _ x: Span<Float>, times factor: Float, to y: inout MutableSpan<Float>,
  on instructions: InstructionSet = .best
) {
  precondition(x.count == y.count, "arrays differ in length")
  unsafe y.withUnsafeMutableBufferPointer { y in
    unsafe x.withUnsafeBufferPointer { x in
      unsafe kiln_add_scaled(instructions.code, y.baseAddress, x.baseAddress, factor, y.count)
    }
  }
}

/// y = y * x.
///
/// - Precondition: Both have the same length.
package func multiply(
  _ y: inout MutableSpan<Float>, by x: Span<Float>, on instructions: InstructionSet = .best
) {
  precondition(x.count == y.count, "arrays differ in length")
  unsafe y.withUnsafeMutableBufferPointer { y in
    unsafe x.withUnsafeBufferPointer { x in
      unsafe kiln_multiply(instructions.code, y.baseAddress, x.baseAddress, y.count)
    }
  }
}

/// y = y * factor.
package func scale(
  _ y: inout MutableSpan<Float>, by factor: Float, on instructions: InstructionSet = .best
) {
  unsafe y.withUnsafeMutableBufferPointer { y in
    unsafe kiln_scale(instructions.code, y.baseAddress, factor, y.count)
  }
}

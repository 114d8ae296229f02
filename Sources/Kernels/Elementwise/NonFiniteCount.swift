// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// How many NaN and infinite numbers stored values hold, told by their bits.
package struct NonFiniteCount: Sendable, Equatable {
  /// Numbers that are not a number.
  package private(set) var nanCount = 0
  /// Numbers that are infinite, of either sign.
  package private(set) var infinityCount = 0

  /// Looks at consecutive numbers, at any alignment; a tensor is counted in any number of pieces.
  ///
  /// Types other than BF16, F16 and F32 count as finite.
  ///
  /// - Parameters:
  ///   - bytes: Whole little-endian numbers; what is left behind the last is passed over.
  ///   - dtype: Their type.
  ///   - instructions: Which C kernels run.
  package init(_ bytes: RawSpan, as dtype: DType, on instructions: InstructionSet = .best) {
    switch dtype {
    case .bf16: count16(bytes, exponent: 0x7F80, instructions)
    case .f16: count16(bytes, exponent: 0x7C00, instructions)
    case .f32: count32(bytes, exponent: 0x7F80_0000, instructions)
    default: break
    }
  }

  private mutating func count16(
    _ bytes: RawSpan, exponent: UInt16, _ instructions: InstructionSet
  ) {
    (nanCount, infinityCount) = unsafe bytes.withUnsafeBytes { bytes in
      var (nan, infinite) = (0, 0)
      unsafe kiln_count_nonfinite16(
        instructions.code, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
        bytes.count / 2, exponent, &nan, &infinite)
      return (nan, infinite)
    }
  }

  private mutating func count32(
    _ bytes: RawSpan, exponent: UInt32, _ instructions: InstructionSet
  ) {
    (nanCount, infinityCount) = unsafe bytes.withUnsafeBytes { bytes in
      var (nan, infinite) = (0, 0)
      unsafe kiln_count_nonfinite32(
        instructions.code, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
        bytes.count / 4, exponent, &nan, &infinite)
      return (nan, infinite)
    }
  }
}

/// How many of some BF16 or F16 numbers are 0, of either sign.
///
/// - Parameters:
///   - bytes: Whole little-endian numbers, at any alignment.
///   - instructions: Which C kernels run.
/// - Returns: Their number.
package func countZeros(_ bytes: RawSpan, on instructions: InstructionSet = .best) -> Int {
  unsafe bytes.withUnsafeBytes { bytes in
    unsafe kiln_count_zero16(
      instructions.code, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count / 2)
  }
}

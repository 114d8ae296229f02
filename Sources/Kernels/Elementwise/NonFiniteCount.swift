// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// How many NaN and infinite numbers stored values hold, told by their bits.
package struct NonFiniteCount: Sendable, Equatable {
  /// Numbers that are not a number.
  package private(set) var nanCount = 0
  /// Numbers that are infinite, of either sign.
  package private(set) var infinityCount = 0

  /// Looks at the elements of a plain tensor, or at the scales of a quantized one, whose codes are
  /// whole numbers and cannot be odd.
  ///
  /// Types other than BF16, F16 and F32 count as finite.
  package init(_ tensor: EncodedTensor, on instructions: InstructionSet = .best) {
    let bytes = tensor.region.bytes
    switch tensor.encoding {
    case .quantized:
      count16(
        bytes.extracting(tensor.codeByteCount..<bytes.byteCount), exponent: 0x7F80, instructions)
    case .plain(.bf16): count16(bytes, exponent: 0x7F80, instructions)
    case .plain(.f16): count16(bytes, exponent: 0x7C00, instructions)
    case .plain(.f32): count32(bytes, exponent: 0x7F80_0000, instructions)
    case .plain: break
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

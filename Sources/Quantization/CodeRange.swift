// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// The integers that a code of some width can be, and the scales that suit them.
package struct CodeRange: Sendable, Equatable {
  /// Bits of a code: 4, 5, 6 or 8.
  package let bits: Int

  /// Scale of a group that has nothing to store: its codes are all 0.
  ///
  /// It is the epsilon of BF16, 2^-7, which compressed-tensors writes there too; float16 formats
  /// can hold it, which is not true of the smallest BF16 numbers.
  package static let emptyScale = BFloat16(bitPattern: 0x3C00)

  /// Codes of 4, 5 or 6 bits, and of 8 for any other argument.
  package init(bits: Int) {
    self.bits = TensorEncoding.codeWidths.contains(bits) ? bits : 8
  }

  /// What is added to a code to store it as an unsigned number: 8, 16, 32 or 128.
  package var offset: Int32 { 1 << Int32(bits - 1) }
  /// The most negative code, -8 at 4 bits, -128 at 8.
  package var minimum: Float { -Float(offset) }
  /// The most positive code, 7 or 127.
  package var maximum: Float { Float(offset - 1) }
  /// Half the width of the range, 7.5 or 127.5: a scale of absmax / 7.5 wastes nothing on either side.
  package var halfWidth: Float { Float(offset) - 0.5 }

  /// The largest scale whose product with the most negative code is a finite BF16.
  package var largestScale: BFloat16 {
    BFloat16(bitPattern: 0x7F7F - UInt16(bits - 1) << 7)
  }

  /// Scales that calibrated rounding tries, in units of the round-to-nearest scale: the fewer codes there are,
  /// the more clipping can pay.
  package var triedFactors: ClosedRange<Float> {
    switch bits {
    case 4: 0.6...1.25
    case 5: 0.78...1.22
    case 6: 0.88...1.18
    default: 0.94...1.06
    }
  }

  /// The scale that round-to-nearest gives a group: absmax / 7.5 (127.5), rounded to BF16.
  ///
  /// Edge cases: `emptyScale` if that is zero, which includes groups of subnormal numbers too
  /// small for any BF16 scale; `largestScale` if it would be larger.
  ///
  /// - Parameter largestMagnitude: The largest magnitude of the group's finite elements.
  /// - Returns: A positive, finite scale.
  package func nearestScale(largestMagnitude: Float) -> BFloat16 {
    let scale = BFloat16(largestMagnitude / halfWidth)
    if scale.bitPattern == 0 { return Self.emptyScale }
    return scale.bitPattern > largestScale.bitPattern ? largestScale : scale
  }

  /// The code of a value: value / scale in float32, clamped, rounded half to even.
  ///
  /// - Returns: 0 for NaN, the extreme code of the quotient's sign for an infinity.
  package func code(_ value: Float, scale: Float) -> Int32 {
    let quotient = value / scale
    guard !quotient.isNaN else { return 0 }
    return Int32(Swift.min(Swift.max(quotient, minimum), maximum).rounded(.toNearestOrEven))
  }
}

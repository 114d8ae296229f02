// SPDX-License-Identifier: Apache-2.0

/// A bfloat16, the upper 16 bits of a float32.
///
/// Storage only; arithmetic is done in float32.
public struct BFloat16: Hashable, Sendable, BitwiseCopyable {
  /// Sign, eight bits of exponent, seven of fraction.
  public var bitPattern: UInt16

  /// Takes the bits as they are.
  @inlinable
  public init(bitPattern: UInt16) {
    self.bitPattern = bitPattern
  }

  /// Rounds to nearest, ties to even.
  ///
  /// Edge cases: NaN stays NaN (quiet, upper payload bits kept); values that round beyond the
  /// largest finite bfloat16 become infinite; subnormals are kept as subnormals.
  @inlinable
  public init(_ value: Float) {
    let bits = value.bitPattern
    if value.isNaN {
      bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x0040
    } else {
      let rounded = bits &+ 0x7FFF &+ ((bits >> 16) & 1)
      bitPattern = UInt16(truncatingIfNeeded: rounded >> 16)
    }
  }

  /// The same number as a float32, exactly.
  @inlinable
  public var floatValue: Float { Float(bitPattern: UInt32(bitPattern) << 16) }
}

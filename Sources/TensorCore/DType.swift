// SPDX-License-Identifier: Apache-2.0

/// An element type of a stored tensor, with the spelling of the safetensors format.
public enum DType: String, CaseIterable, Sendable, Hashable {
  /// One byte, 0 or 1.
  case bool = "BOOL"
  /// Four-bit float E2M1, two to a byte.
  case f4 = "F4"
  /// Six-bit float E2M3.
  case f6E2M3 = "F6_E2M3"
  /// Six-bit float E3M2.
  case f6E3M2 = "F6_E3M2"
  /// Unsigned 8-bit integer.
  case u8 = "U8"
  /// Signed 8-bit integer.
  case i8 = "I8"
  /// Eight-bit float E5M2.
  case f8E5M2 = "F8_E5M2"
  /// Eight-bit float E4M3.
  case f8E4M3 = "F8_E4M3"
  /// Eight-bit exponent, the scale of the MX formats.
  case f8E8M0 = "F8_E8M0"
  /// Eight-bit float E4M3 without negative zero.
  case f8E4M3FNUZ = "F8_E4M3FNUZ"
  /// Eight-bit float E5M2 without negative zero.
  case f8E5M2FNUZ = "F8_E5M2FNUZ"
  /// Signed 16-bit integer.
  case i16 = "I16"
  /// Unsigned 16-bit integer.
  case u16 = "U16"
  /// IEEE 754 half precision.
  case f16 = "F16"
  /// The upper half of a float32.
  case bf16 = "BF16"
  /// Signed 32-bit integer.
  case i32 = "I32"
  /// Unsigned 32-bit integer.
  case u32 = "U32"
  /// IEEE 754 single precision.
  case f32 = "F32"
  /// Two single-precision numbers, real and imaginary.
  case c64 = "C64"
  /// IEEE 754 double precision.
  case f64 = "F64"
  /// Signed 64-bit integer.
  case i64 = "I64"
  /// Unsigned 64-bit integer.
  case u64 = "U64"

  /// Bits that one element takes in a file.
  public var bitWidth: Int {
    switch self {
    case .f4: 4
    case .f6E2M3, .f6E3M2: 6
    case .bool, .u8, .i8, .f8E5M2, .f8E4M3, .f8E8M0, .f8E4M3FNUZ, .f8E5M2FNUZ: 8
    case .i16, .u16, .f16, .bf16: 16
    case .i32, .u32, .f32: 32
    case .c64, .f64, .i64, .u64: 64
    }
  }

  /// Whether Kiln can compute with it: the floating-point types that weights are stored in.
  public var isComputable: Bool {
    switch self {
    case .bf16, .f16, .f32: true
    default: false
    }
  }

  /// Whether its values are floating-point numbers, computed with or not.
  public var isFloatingPoint: Bool {
    switch self {
    case .bool, .u8, .i8, .i16, .u16, .i32, .u32, .i64, .u64, .c64, .f8E8M0: false
    case .f4, .f6E2M3, .f6E3M2, .f8E5M2, .f8E4M3, .f8E4M3FNUZ, .f8E5M2FNUZ, .f16, .bf16, .f32,
      .f64:
      true
    }
  }

  /// Bytes of `elementCount` elements.
  ///
  /// - Returns: nil if the size is not a whole number of bytes or does not fit an `Int`.
  public func byteCount(elementCount: Int) -> Int? {
    let (bits, overflow) = elementCount.multipliedReportingOverflow(by: bitWidth)
    guard !overflow, elementCount >= 0, bits % 8 == 0 else {
      // Eight bits and more are whole bytes: count those without the detour over bits.
      guard overflow, elementCount >= 0, bitWidth >= 8 else { return nil }
      let (bytes, overflow) = elementCount.multipliedReportingOverflow(by: bitWidth / 8)
      return overflow ? nil : bytes
    }
    return bits / 8
  }
}

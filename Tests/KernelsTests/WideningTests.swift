// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import SystemPackage
import TensorCore
import TestSupport
import Testing

struct WideningTests {
  @Test func everyBFloat16AndFloat16IsExact() {
    let bytes = (0..<0x10000).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    var wide = [Float](repeating: 0, count: 0x10000)
    for set in InstructionSet.available {
      var span = wide.mutableSpan
      unsafe widen(.bf16, bytes.span.bytes, into: &span, on: set)
      for pattern in 0..<0x10000 {
        let isSame = wide[pattern].bitPattern == UInt32(pattern) << 16
        #expect(isSame, "\(pattern) on \(set)")
      }
      span = wide.mutableSpan
      unsafe widen(.f16, bytes.span.bytes, into: &span, on: set)
      for pattern in 0..<0x10000 {
        let expected = halfPrecision(UInt16(pattern))
        if expected.isNaN {
          #expect(wide[pattern].isNaN)
        } else {
          #expect(wide[pattern].bitPattern == expected.bitPattern)
        }
      }
    }
  }

  /// The definition of binary16.
  private func halfPrecision(_ pattern: UInt16) -> Float {
    let exponent = Int(pattern >> 10) & 31
    let fraction = Float(pattern & 1023) / 1024
    let magnitude: Float =
      switch exponent {
      case 0: fraction * 0x1p-14
      case 31: fraction == 0 ? .infinity : .nan
      default: (1 + fraction) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
      }
    return pattern >> 15 == 1 ? -magnitude : magnitude
  }

  @Test func fourBitCodesByHand() {
    // q = -8, 7, 0, -1 with scales 2 and 0.5: low half first, offset 8.
    let codes: [UInt8] = [0xF0, 0x78]
    let scales: [UInt8] = [0x00, 0x40, 0x00, 0x3F]
    var output = [Float](repeating: 0, count: 4)
    var span = output.mutableSpan
    unsafe widenCodes(
      bits: 4, group: 2, codes: codes.span.bytes, scales: scales.span.bytes, into: &span)
    #expect(output == [-16, 14, 0, -0.5])
  }

  @Test func eightBitCodesByHand() {
    let codes: [UInt8] = [0, 255, 128, 127]
    let scales: [UInt8] = [0x00, 0x40, 0x00, 0x3F]
    var output = [Float](repeating: 0, count: 4)
    var span = output.mutableSpan
    unsafe widenCodes(
      bits: 8, group: 2, codes: codes.span.bytes, scales: scales.span.bytes, into: &span)
    #expect(output == [-256, 254, 0, -0.5])
  }

  static let encodings: [TensorEncoding] =
    [.plain(.bf16), .plain(.f16), .plain(.f32)]
    + TensorEncoding.codeWidths.flatMap { bits in
      [32, 64, 128].map { .quantized(bits: bits, group: .size($0)) }
        + [.quantized(bits: bits, group: .row)]
    }

  /// Rows of a tensor that starts at an odd byte of a file.
  @Test(arguments: encodings)
  func rowsOfAStoredTensor(encoding: TensorEncoding) throws {
    var generator = SeededGenerator()
    let (rows, columns) = (7, 256)
    let shape = try #require(TensorShape([rows, columns]))
    let size = try #require(encoding.byteCount(shape))
    var bytes = (0..<size + 3).map { _ in UInt8.random(in: 0...255, using: &generator) }
    // Finite elements only: every second byte holds an exponent that is not the largest.
    for index in stride(from: 4, to: bytes.count, by: 2) { bytes[index] &= 0xB8 }
    let path = try TemporaryFile(bytes)
    let region = MappedRegion(file: try MappedFile(path.path), range: 3..<size + 3)
    let tensor = try #require(EncodedTensor(encoding: encoding, shape: shape, region: region))
    for range in [0..<rows, 2..<5, 6..<7, 3..<3] {
      var output = [Float](repeating: .nan, count: range.count * columns)
      var span = output.mutableSpan
      widen(tensor, rows: range, into: &span)
      let expected = range.flatMap { row in
        (0..<columns).map { value(encoding, Array(bytes[3...]), row, $0, shape) }
      }
      let isSame = sameBits(output, expected)
      #expect(isSame, "rows \(range)")
    }
  }

  /// One element by the layout of `Formats/Kiln.md`.
  private func value(
    _ encoding: TensorEncoding, _ bytes: [UInt8], _ row: Int, _ column: Int, _ shape: TensorShape
  ) -> Float {
    let index = row * shape.columns + column
    func half(_ offset: Int) -> UInt16 { UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8 }
    switch encoding {
    case .plain(.bf16): return BFloat16(bitPattern: half(2 * index)).floatValue
    case .plain(.f16): return halfPrecision(half(2 * index))
    case .plain:
      return Float(
        bitPattern: UInt32(half(4 * index)) | UInt32(half(4 * index + 2)) << 16)
    case .quantized(let bits, _):
      let group = encoding.groupSize(columns: shape.columns)
      let scales = shape.elementCount * bits / 8
      let scale = half(scales + 2 * (row * (shape.columns / group) + column / group))
      let code = (0..<bits).reduce(-(1 << (bits - 1))) { sum, bit in
        let place = index * bits + bit
        return sum + Int(bytes[place / 8] >> (place % 8) & 1) << bit
      }
      return Float(code) * BFloat16(bitPattern: scale).floatValue
    }
  }
}

/// A file that is gone when the test is.
private final class TemporaryFile {
  let path: FilePath

  init(_ bytes: [UInt8]) throws {
    path = FilePath("/tmp/kiln-widening-\(getpid())-\(UInt64.random(in: 0 ... .max))")
    let descriptor = try FileDescriptor.open(
      path, .writeOnly, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
    try descriptor.closeAfter { _ = try descriptor.writeAll(bytes) }
  }

  deinit {
    unsafe _ = unlink(path.string)
  }
}

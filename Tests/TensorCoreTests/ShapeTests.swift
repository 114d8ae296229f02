// SPDX-License-Identifier: Apache-2.0

import TensorCore
import Testing

/// Sizes that follow from shapes, at the borders of what can be counted.
@Suite struct ShapeTests {
  @Test func `shapes that overflow or are negative do not exist`() {
    for dimensions in [
      [-1], [Int.min], [Int.max, 2], [1 << 32, 1 << 31], [0, Int.max, 2], [Int.max, 2, 0],
      [2, -1, 0],
    ] {
      #expect(TensorShape(dimensions) == nil, "\(dimensions)")
    }
    for (dimensions, count, rows, columns) in [
      ([], 1, 1, 1), ([0], 0, 1, 0), ([5], 5, 1, 5), ([2, 3], 6, 2, 3), ([2, 0, 3], 0, 0, 3),
      ([2, 3, 0], 0, 6, 0), ([Int.max], Int.max, 1, Int.max),
      ([1 << 31, 1 << 31], 1 << 62, 1 << 31, 1 << 31),
      ([1 << 62, 0], 0, 1 << 62, 0),
    ] as [([Int], Int, Int, Int)] {
      let shape = TensorShape(dimensions)
      #expect(shape?.elementCount == count && shape?.rows == rows && shape?.columns == columns)
      #expect(shape?.rank == dimensions.count && shape?.description == "\(dimensions)")
    }
  }

  @Test func `bytes of an element type`() {
    for dtype in DType.allCases {
      #expect(dtype.byteCount(elementCount: 0) == 0)
      #expect(dtype.byteCount(elementCount: 8) == dtype.bitWidth)
      #expect(dtype.byteCount(elementCount: -8) == nil)
      #expect((dtype.byteCount(elementCount: 3) == nil) == (dtype.bitWidth < 8))
      #expect((dtype.byteCount(elementCount: Int.max) == nil) == (dtype.bitWidth != 8))
    }
    #expect(DType.u8.byteCount(elementCount: Int.max) == Int.max)
    #expect(DType.f64.byteCount(elementCount: 1 << 59) == 1 << 62)
    #expect(DType.f64.byteCount(elementCount: 1 << 60) == nil)
  }

  @Test func `bytes of a quantized tensor`() throws {
    for (name, dimensions, codes, scales) in [
      ("int4-g32", [2, 64], 64, 8), ("int4-g128", [3, 128], 192, 6), ("int4-row", [2, 6], 6, 4),
      ("int5-g32", [2, 64], 80, 8), ("int5-row", [3, 96], 180, 6), ("int6-g64", [2, 64], 96, 4),
      ("int8-row", [2, 5], 10, 4), ("int8-g64", [2, 3, 64], 384, 12), ("int8-g32", [0, 32], 0, 0),
    ] as [(String, [Int], Int, Int)] {
      let encoding = try #require(TensorEncoding(schemeName: name))
      let shape = try #require(TensorShape(dimensions))
      #expect(encoding.codeByteCount(shape) == codes && encoding.scaleByteCount(shape) == scales)
      #expect(encoding.byteCount(shape) == codes + scales)
    }
    for (name, dimensions) in [
      ("int4-g32", [2, 33]), ("int4-row", [2, 5]), ("int5-row", [2, 16]), ("int6-row", [2, 48]),
      ("int6-g32", [2, 48]), ("int8-g64", [2, 32]), ("int8-row", [2, 0]),
      ("int8-row", [1 << 62, 1]), ("f64", [1 << 60]), ("int4-g32", [1 << 62, 0]),
    ] as [(String, [Int])] {
      let encoding = try #require(TensorEncoding(name: name))
      let shape = try #require(TensorShape(dimensions))
      #expect(encoding.byteCount(shape) == nil, "\(name) \(dimensions)")
    }
  }

  @Test func `names of encodings are read back, and no others`() {
    let encodings =
      DType.allCases.map { TensorEncoding.plain($0) }
      + TensorEncoding.schemeNames.compactMap { TensorEncoding(schemeName: $0) }
    #expect(encodings.count == DType.allCases.count + TensorEncoding.schemeNames.count)
    for encoding in encodings { #expect(TensorEncoding(name: encoding.description) == encoding) }
    for name in [
      "", "BF16", "int4", "int4-g0", "int4-g32-", "int2-g32", "INT4-G32", "q4_0", "source",
    ] {
      #expect(TensorEncoding(name: name) == nil)
    }
    #expect(TensorEncoding(schemeName: "f16") == nil)
  }

  @Test func `BF16 is rounded to nearest, ties to even`() {
    for bits in stride(from: 0 as UInt32, to: 0x1_0000, by: 1) {
      let exact = BFloat16(bitPattern: UInt16(bits))
      if exact.floatValue.isNaN {
        #expect(BFloat16(exact.floatValue).floatValue.isNaN)
      } else {
        #expect(BFloat16(exact.floatValue) == exact)
      }
    }
    for (float, bits) in [
      (0x3F80_8000, 0x3F80), (0x3F81_8000, 0x3F82), (0x3F80_8001, 0x3F81), (0x3F80_7FFF, 0x3F80),
      (0x7F7F_FFFF, 0x7F80), (0xFF7F_8000, 0xFF80), (0x7F80_0001, 0x7FC0), (0xFFFF_FFFF, 0xFFFF),
      (0x0000_8001, 0x0001), (0x0000_8000, 0x0000), (0x8000_0001, 0x8000),
    ] as [(UInt32, UInt16)] {
      #expect(BFloat16(Float(bitPattern: float)).bitPattern == bits)
    }
  }

  @Test func `exact strings compare and sort as bytes`() {
    let composed: ExactString = "\u{E9}"
    let decomposed: ExactString = "e\u{301}"
    #expect(composed.text == decomposed.text && composed != decomposed)
    #expect(Set([composed, decomposed]).count == 2)
    let sorted: [ExactString] = [
      "", "Z", "a", "a.", "aa", "e\u{301}", "\u{E9}", "\u{FFFF}", "\u{10000}",
    ]
    #expect(sorted.shuffled().sorted() == sorted)
  }
}

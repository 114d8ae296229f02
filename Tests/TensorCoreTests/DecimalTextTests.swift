// SPDX-License-Identifier: Apache-2.0

import Glibc
import TensorCore
import TestSupport
import Testing

/// Numbers as people write them.
@Suite struct DecimalTextTests {
  @Test(
    arguments: [
      (1.5, 3, "1.500"), (0, 0, "0"), (0, 2, "0.00"), (-0.0, 2, "0.00"), (-1.25, 2, "-1.25"),
      (0.999, 2, "1.00"), (9.995, 1, "10.0"), (-0.004, 2, "0.00"), (-0.006, 2, "-0.01"),
      (123_456.789, 0, "123457"), (0.5, 0, "1"), (1e-9, 9, "0.000000001"),
      (1e-10, 9, "0.000000000"),
      (0.1, 15, "0.100000000000000"), (999_999.999_999, 3, "1000000.000"),
      // A little below the half: its product with 100 is above.
      (1.115, 2, "1.11"), (8.345, 2, "8.35"),
      // Large numbers keep their decimals.
      (12_345_678_901.5, 9, "12345678901.500000000"), (999_999_999_999_999, 0, "999999999999999"),
      (1234.5, 15, "1234.500000000000000"), (-99_999_999_999.75, 9, "-99999999999.750000000"),
      (.nan, 2, "NaN"), (-.nan, 2, "NaN"), (.infinity, 2, "inf"), (-.infinity, 2, "-inf"),
      (1e15, 2, "1000000000000000.0"), (1e300, 2, "1e+300"), (-1e18, 0, "-1e+18"),
      (.greatestFiniteMagnitude, 0, "1.7976931348623157e+308"),
      (.leastNonzeroMagnitude, 3, "0.000"),
    ] as [(Double, Int, String)])
  func `edge cases`(number: Double, decimals: Int, text: String) {
    #expect(number.decimalText(decimals: decimals) == text)
  }

  @Test func `the same as the C library`() {
    var random = SeededGenerator(seed: 9)
    for _ in 0..<4000 {
      let exponent = Int.random(in: -6...11, using: &random)
      let number =
        Double.random(in: -1...1, using: &random)
        * (0..<abs(exponent)).reduce(1.0) { scale, _ in exponent < 0 ? scale / 10 : scale * 10 }
      let decimals = Int.random(in: 0...9, using: &random)
      var expected = [CChar](repeating: 0, count: 64)
      let count = unsafe withVaList([Int32(decimals), number]) { arguments in
        unsafe vsnprintf(&expected, 64, "%.*f", arguments)
      }
      var text = String(
        decoding: expected.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      // No minus before a zero.
      if text.hasPrefix("-"), !text.contains(where: { ("1"..."9").contains($0) }) {
        text.removeFirst()
      }
      #expect(number.decimalText(decimals: decimals) == text)
    }
  }
}

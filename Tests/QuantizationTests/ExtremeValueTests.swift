// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore
import TestSupport
import Testing

/// Groups that broke other quantizers: scales and dequantized values are finite whatever comes in.
@Suite struct ExtremeValueTests {
  private static let encodings = [
    "int4-g32", "int5-g32", "int6-g32", "int8-g32", "int4-row", "int5-row", "int8-row",
  ]
  private static let methods = RoundingMethod.allCases

  private func quantize(
    _ values: [Float], _ scheme: String, _ method: RoundingMethod
  ) throws -> QuantizedRows {
    let encoding = try #require(TensorEncoding(schemeName: scheme))
    let rows = QuantizedRows(values, columns: values.count, encoding, method)
    #expect(rows.scales.allSatisfy { $0.floatValue.isFinite && $0.floatValue != 0 })
    #expect(rows.dequantized.allSatisfy { $0.isFinite && BFloat16($0).floatValue.isFinite })
    #expect(rows.statistics.squaredError.isFinite && rows.statistics.squaredNorm.isFinite)
    return rows
  }

  @Test(arguments: encodings, methods)
  func `a group of zeros`(scheme: String, method: RoundingMethod) throws {
    let zeros = (0..<32).map { $0 % 2 == 0 ? Float(0) : -0.0 }
    let rows = try quantize(zeros, scheme, method)
    #expect(rows.codes.allSatisfy { $0 == 0 })
    #expect(rows.scales == [CodeRange.emptyScale])
    #expect(rows.scales[0].floatValue == 1.0 / 128)
    #expect(rows.statistics == QuantizationStatistics(elementCount: 32))
  }

  @Test(arguments: encodings, methods)
  func `a constant group`(scheme: String, method: RoundingMethod) throws {
    for constant: Float in [1, -1, 0.02, -3e-5, 1e30] {
      let constant = BFloat16(constant).floatValue
      let rows = try quantize([Float](repeating: constant, count: 32), scheme, method)
      #expect(Set(rows.codes).count == 1)
      if method == .search { #expect(rows.dequantized.allSatisfy { $0 == constant }) }
    }
  }

  @Test(arguments: encodings, methods)
  func `subnormal elements`(scheme: String, method: RoundingMethod) throws {
    for magnitude in [0x1p-149, 0x1p-133, 0x1p-131, 0x1p-128, 0x1p-126, 0x1p-120] as [Float] {
      let values = (0..<32).map { magnitude * (Float($0) / 16 - 1) }
      let rows = try quantize(values, scheme, method)
      for index in values.indices {
        // At worst the element is lost, which is an error of its own size.
        let error = abs(values[index] - rows.dequantized[index])
        #expect(error <= max(magnitude, rows.scale(of: index)))
      }
    }
  }

  @Test(arguments: encodings, methods)
  func `the largest float32`(scheme: String, method: RoundingMethod) throws {
    let largest = Float.greatestFiniteMagnitude
    for first in [largest, -largest] {
      let values = [first] + (1..<32).map { largest * (Float($0) / 16 - 1) }
      let rows = try quantize(values, scheme, method)
      #expect(abs(rows.dequantized[0]) > largest * 0.8)
      #expect((rows.dequantized[0] > 0) == (first > 0))
      #expect(rows.statistics.relativeError < 0.15)
    }
  }

  @Test(arguments: encodings, methods)
  func `a huge range`(scheme: String, method: RoundingMethod) throws {
    let values = (0..<32).map {
      Float(sign: $0 % 2 == 0 ? .plus : .minus, exponent: $0 * 8 - 126, significand: 1)
    }
    let rows = try quantize(values, scheme, method)
    #expect(rows.statistics.relativeError < 0.1)
  }

  @Test(arguments: encodings, methods)
  func `NaN becomes 0 and is counted`(scheme: String, method: RoundingMethod) throws {
    var random = SeededGenerator(seed: 7)
    let clean = (0..<32).map { _ in normalWeight(using: &random) }
    var values = clean
    values[3] = .nan
    values[17] = -.nan
    values[18] = .signalingNaN
    var zeroed = clean
    for index in [3, 17, 18] { zeroed[index] = 0 }
    let rows = try quantize(values, scheme, method)
    let expected = try quantize(zeroed, scheme, method)
    #expect(rows.codes == expected.codes && rows.scales == expected.scales)
    #expect(rows.statistics.nanCount == 3 && rows.statistics.infinityCount == 0)
    #expect(rows.statistics.squaredError == expected.statistics.squaredError)
  }

  @Test(arguments: encodings, methods)
  func `infinities become extreme values`(scheme: String, method: RoundingMethod) throws {
    // Both signs of the largest element, because it may choose the sign of the scale.
    for peak: Float in [0.5, -0.5] {
      var values = (0..<32).map { 0.01 * Float($0 - 16) }
      values[9] = peak
      values[4] = .infinity
      values[30] = -.infinity
      let rows = try quantize(values, scheme, method)
      let range = [rows.lowest, rows.highest].map { Float($0) * rows.scale(of: 0) }.sorted()
      #expect(rows.dequantized[4] == range[1] && rows.dequantized[30] == range[0])
      #expect(rows.statistics.infinityCount == 2 && rows.statistics.nanCount == 0)
      values[4] = 0
      values[30] = 0
      #expect(try quantize(values, scheme, method).scales == rows.scales)
    }
  }

  @Test(arguments: encodings, methods)
  func `nothing finite at all`(scheme: String, method: RoundingMethod) throws {
    let values = (0..<32).map { [Float.nan, .infinity, -.infinity][$0 % 3] }
    let rows = try quantize(values, scheme, method)
    #expect(rows.scales == [CodeRange.emptyScale])
    #expect(Array(rows.codes[..<3]) == [0, rows.highest, rows.lowest])
    #expect(rows.statistics.nanCount == 11 && rows.statistics.infinityCount == 21)
    #expect(rows.statistics.relativeError == 0)
  }

  @Test func `no rows at all`() {
    let rows = QuantizedRows([], columns: 32, .quantized(bits: 4, group: .size(32)))
    #expect(rows.codeBytes.isEmpty && rows.statistics == QuantizationStatistics())
  }
}

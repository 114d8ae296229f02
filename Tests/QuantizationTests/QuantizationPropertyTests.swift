// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore
import TestSupport
import Testing

/// What holds for every group, over random ones of each encoding.
@Suite struct QuantizationPropertyTests {
  /// Rows of 384 elements, which all groups divide, or of a number that fills no vectors where it may be any.
  private func randomRows(
    _ encoding: TensorEncoding, _ method: RoundingMethod, rows: Int, seed: UInt64
  ) -> QuantizedRows {
    var random = SeededGenerator(seed: seed)
    let columns = encoding.fits(columns: 150) ? 150 : 384
    var values: [Float] = []
    for _ in 0..<rows * columns {
      values.append(normalWeight(using: &random))
      // Some outliers, as trained weights have them.
      if Int.random(in: 0..<100, using: &random) == 0 { values[values.count - 1] *= 5 }
    }
    return QuantizedRows(values, columns: columns, encoding, method)
  }

  @Test(arguments: integerEncodings)
  func `scales and codes of round-to-nearest follow their definition`(
    encoding: TensorEncoding
  ) {
    let rows = randomRows(encoding, .roundToNearest, rows: 7, seed: 1)
    let codes = rows.codes
    for index in rows.values.indices {
      let scale = rows.scale(of: index)
      let code = (rows.values[index] / scale).rounded(.toNearestOrEven)
      #expect(codes[index] == min(max(Int(code), rows.lowest), rows.highest))
      if Int(code) == codes[index] {
        #expect(abs(rows.values[index] - Float(codes[index]) * scale) <= scale / 2)
      }
    }
    for group in rows.scales.indices {
      let first = group * rows.groupLength
      let largest = rows.values[first..<first + rows.groupLength].reduce(0) { max($0, abs($1)) }
      #expect(rows.scales[group] == BFloat16(largest / (Float(rows.highest) + 0.5)))
    }
  }

  @Test(arguments: integerEncodings)
  func `the search is never worse for any group and better for most`(encoding: TensorEncoding) {
    let nearest = randomRows(encoding, .roundToNearest, rows: 9, seed: 2)
    let searched = randomRows(encoding, .search, rows: 9, seed: 2)
    for group in nearest.scales.indices {
      #expect(searched.squaredError(group: group) <= nearest.squaredError(group: group))
    }
    #expect(searched.statistics.squaredError < 0.97 * nearest.statistics.squaredError)
  }

  @Test(arguments: integerEncodings, RoundingMethod.allCases)
  func `codes follow from the stored scale`(encoding: TensorEncoding, method: RoundingMethod) {
    let rows = randomRows(encoding, method, rows: 3, seed: 3)
    for (index, code) in rows.codes.enumerated() {
      let quotient = (rows.values[index] / rows.scale(of: index)).rounded(.toNearestOrEven)
      #expect(code == min(max(Int(quotient), rows.lowest), rows.highest))
    }
  }

  @Test(arguments: integerEncodings, RoundingMethod.allCases)
  func `statistics are the errors of what was written`(
    encoding: TensorEncoding, method: RoundingMethod
  ) {
    let rows = randomRows(encoding, method, rows: 5, seed: 4)
    let error = rows.scales.indices.reduce(0) { $0 + rows.squaredError(group: $1) }
    let norm = rows.values.reduce(0) { $0 + Double($1) * Double($1) }
    #expect(abs(rows.statistics.squaredError - error) <= 1e-6 * error)
    #expect(abs(rows.statistics.squaredNorm - norm) <= 1e-12 * norm)
    #expect(rows.statistics.elementCount == rows.values.count)
  }

  @Test(arguments: integerEncodings, RoundingMethod.allCases)
  func `rows do not influence each other`(encoding: TensorEncoding, method: RoundingMethod) {
    let all = randomRows(encoding, method, rows: 3, seed: 5)
    let perRow = all.codeBytes.count / 3
    for row in 0..<3 {
      let values = Array(all.values[row * all.columns..<(row + 1) * all.columns])
      let alone = QuantizedRows(values, columns: all.columns, encoding, method)
      #expect(alone.codeBytes == Array(all.codeBytes[row * perRow..<(row + 1) * perRow]))
    }
  }

  @Test func `weights that were four-bit already come back as they were`() {
    var random = SeededGenerator(seed: 6)
    for _ in 0..<200 {
      let scale = BFloat16(Float.random(in: 1e-3..<1e-1, using: &random)).floatValue
      var codes = (0..<32).map { _ in Int.random(in: -8...7, using: &random) }
      codes[5] = -8
      // A few bits of scale, so that products are BF16 numbers, as such checkpoints store them.
      let coarse = Float(bitPattern: scale.bitPattern & 0xFFF0_0000)
      let values = codes.map { Float($0) * coarse }
      let rows = QuantizedRows(values, columns: 32, .quantized(bits: 4, group: .size(32)), .search)
      #expect(rows.dequantized == values)
    }
  }
}

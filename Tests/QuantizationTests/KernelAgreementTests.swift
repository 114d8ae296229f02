// SPDX-License-Identifier: Apache-2.0

import Kernels
import Quantization
import TensorCore
import TestSupport
import Testing

/// The vector kernel gives the bits of the readable form, for every instruction set.
@Suite struct KernelAgreementTests {
  /// Groups of every kind, from weights to nonsense.
  private func values(count: Int, groupLength: Int, seed: UInt64) -> [Float] {
    var random = SeededGenerator(seed: seed)
    var values: [Float] = []
    while values.count < count {
      let kind = Int.random(in: 0..<12, using: &random)
      let exponent = Int.random(in: -149...124, using: &random)
      for _ in 0..<groupLength {
        let weight = normalWeight(using: &random)
        switch kind {
        case 0:
          // Any bits at all.
          values.append(Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random)))
        case 1: values.append(weight * Float(sign: .plus, exponent: exponent, significand: 1))
        case 2: values.append(Bool.random(using: &random) ? weight : 0)
        case 3: values.append(Float(Int.random(in: -8...8, using: &random)) * 0.125)
        case 4 where Int.random(in: 0..<16, using: &random) == 0: values.append(.nan)
        case 5 where Int.random(in: 0..<16, using: &random) == 0: values.append(-.infinity)
        case 6 where Int.random(in: 0..<16, using: &random) == 0: values.append(.infinity)
        case 7: values.append(Float.random(in: -1...1, using: &random))
        case 8: values.append(0)
        default: values.append(weight)
        }
      }
    }
    return Array(values[..<count])
  }

  private func expectAgreement(
    _ encoding: TensorEncoding, columns: Int, rows: Int, _ method: RoundingMethod, seed: UInt64
  ) {
    let length = encoding.groupSize(columns: columns)
    let values = values(count: rows * columns, groupLength: length, seed: seed)
    let bits = QuantizedRows.bits(of: encoding)
    var codes = [UInt8](repeating: 0, count: values.count * bits / 8)
    var scales = [BFloat16](repeating: BFloat16(0), count: values.count / length)
    let reference = ReferenceQuantizer(bits: bits, method: method, groupLength: length)
    var codeSpan = codes.mutableSpan
    var scaleSpan = scales.mutableSpan
    let statistics = reference.quantize(values.span, codes: &codeSpan, scales: &scaleSpan)
    for set in InstructionSet.available {
      let found = QuantizedRows(values, columns: columns, encoding, method, on: set)
      #expect(found.codeBytes == codes, "\(set)")
      #expect(found.scales == scales, "\(set)")
      #expect(found.statistics == statistics, "\(set)")
    }
  }

  @Test(arguments: integerEncodings, RoundingMethod.allCases)
  func `every encoding`(encoding: TensorEncoding, method: RoundingMethod) {
    expectAgreement(encoding, columns: 384, rows: 75, method, seed: 11)
  }

  @Test(arguments: [1, 2, 15, 16, 17, 31, 32, 33, 48, 100, 127, 130, 144, 160, 193, 300, 1000])
  func `rows of any length`(columns: Int) {
    for bits in TensorEncoding.codeWidths {
      let encoding = TensorEncoding.quantized(bits: bits, group: .row)
      guard encoding.fits(columns: columns) else { continue }
      for method in RoundingMethod.allCases {
        expectAgreement(encoding, columns: columns, rows: 40, method, seed: UInt64(columns))
      }
    }
  }
}

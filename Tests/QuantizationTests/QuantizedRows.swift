// SPDX-License-Identifier: Apache-2.0

import Kernels
import Quantization
import TensorCore
import TestSupport

/// Rows, what quantization made of them, and what a reader gets back.
struct QuantizedRows {
  let values: [Float]
  let columns: Int
  let encoding: TensorEncoding
  let codeBytes: [UInt8]
  let scales: [BFloat16]
  let statistics: QuantizationStatistics

  init(
    _ values: [Float], columns: Int, _ encoding: TensorEncoding,
    _ method: RoundingMethod = .roundToNearest,
    on instructions: InstructionSet = .best
  ) {
    self.values = values
    self.columns = columns
    self.encoding = encoding
    let groups = values.count / encoding.groupSize(columns: columns)
    // Not zero: what is not written must not pass.
    var codes = [UInt8](repeating: 0xA5, count: values.count * Self.bits(of: encoding) / 8)
    var scales = [BFloat16](repeating: BFloat16(.nan), count: groups)
    var codeSpan = codes.mutableSpan
    var scaleSpan = scales.mutableSpan
    statistics = quantizeRows(
      values.span, columns: columns, encoding: encoding, method: method, codes: &codeSpan,
      scales: &scaleSpan, on: instructions)
    codeBytes = codes
    self.scales = scales
  }

  static func bits(of encoding: TensorEncoding) -> Int {
    if case .quantized(let bits, _) = encoding { bits } else { 0 }
  }

  var bits: Int { Self.bits(of: encoding) }
  var groupLength: Int { encoding.groupSize(columns: columns) }
  var lowest: Int { -(1 << (bits - 1)) }
  var highest: Int { (1 << (bits - 1)) - 1 }

  /// The signed codes, unpacked independently of the code under test.
  var codes: [Int] { unpackedCodes(codeBytes, bits: bits) }

  func scale(of element: Int) -> Float { scales[element / groupLength].floatValue }

  /// code * scale in float32.
  var dequantized: [Float] {
    codes.enumerated().map { Float($1) * scale(of: $0) }
  }

  /// The squared error of one group over its finite elements, in double precision.
  func squaredError(group: Int) -> Double {
    let range = group * groupLength..<(group + 1) * groupLength
    let codes = codes
    return range.reduce(0) { sum, index in
      guard values[index].isFinite else { return sum }
      let error = Double(values[index]) - Double(codes[index]) * Double(scale(of: index))
      return sum + error * error
    }
  }
}

/// The signed codes in a stream of bits, lowest bit first.
func unpackedCodes(_ bytes: [UInt8], bits: Int) -> [Int] {
  let stream = bytes.flatMap { byte in (0..<8).map { Int(byte >> $0 & 1) } }
  return stride(from: 0, to: stream.count, by: bits).map { start in
    (0..<bits).reduce(-(1 << (bits - 1))) { $0 + stream[start + $1] << $1 }
  }
}

/// A normally distributed number, rounded to BF16 as the weights of a checkpoint are.
func normalWeight(using random: inout SeededGenerator, deviation: Float = 0.02) -> Float {
  // The sum of twelve uniform numbers: near enough, and without logarithms.
  let sum = (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &random) }
  return BFloat16(sum * deviation).floatValue
}

/// Every integer encoding.
let integerEncodings = TensorEncoding.schemeNames.compactMap { TensorEncoding(schemeName: $0) }
  .filter(\.isQuantized)

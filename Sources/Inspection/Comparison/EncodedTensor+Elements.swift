// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

extension EncodedTensor {
  /// Where the bytes of some elements are: codes and scales, or the elements themselves.
  ///
  /// - Parameter elements: Whole groups of a quantized tensor; whole bytes of any other.
  /// - Returns: One range of a plain tensor, two of a quantized one.
  func byteRanges(of elements: Range<Int>) -> [Range<Int>] {
    switch encoding {
    case .plain(let dtype):
      let bits = dtype.bitWidth
      return [elements.lowerBound * bits / 8..<(elements.upperBound * bits + 7) / 8]
    case .quantized(let bits, _):
      let length = max(encoding.groupSize(columns: shape.columns), 1)
      return [
        elements.lowerBound * bits / 8..<elements.upperBound * bits / 8,
        codeByteCount + elements.lowerBound / length * 2..<codeByteCount
          + elements.upperBound / length * 2,
      ]
    }
  }

  /// Some elements as float32.
  ///
  /// - Parameter elements: As for `byteRanges(of:)`; of an encoding that can be computed with.
  /// - Returns: As many values.
  func values(_ elements: Range<Int>) -> [Float] {
    var values = [Float](repeating: 0, count: elements.count)
    var span = values.mutableSpan
    switch encoding {
    case .plain(let dtype):
      widen(dtype, region.bytes.extracting(byteRanges(of: elements)[0]), into: &span)
    case .quantized(let bits, _):
      let ranges = byteRanges(of: elements)
      widenCodes(
        bits: bits, group: encoding.groupSize(columns: shape.columns),
        codes: region.bytes.extracting(ranges[0]), scales: region.bytes.extracting(ranges[1]),
        into: &span)
    }
    return values
  }
}

extension Float {
  /// Whether two values are the same to a model: NaN is NaN whatever its payload, and 0 is −0.
  func isSame(as other: Float) -> Bool {
    self == other || isNaN && other.isNaN
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
import Quantization
import TensorCore

/// A run of rows of one tensor on its way from the source's encoding to another.
struct TensorChunk: Sendable {
  /// Most elements of a chunk, unless one row has more: four megabytes in float32.
  static let maximumElementCount = 1 << 20

  let tensor: EncodedTensor
  let encoding: TensorEncoding
  let method: RoundingMethod
  let rows: Range<Int>

  /// What a chunk becomes.
  struct Result: Sendable {
    /// Codes, or plain elements.
    var codes: [UInt8]
    /// Scales in the byte order of the file; none for plain elements.
    var scales: [UInt8] = []
    var statistics = QuantizationStatistics()
  }

  /// The chunks of a tensor, first to last.
  static func all(
    of tensor: EncodedTensor, as encoding: TensorEncoding, method: RoundingMethod
  ) -> [TensorChunk] {
    // Rows without elements can be more than could ever be listed.
    guard tensor.shape.elementCount > 0 else { return [] }
    let rowCount = tensor.shape.rows
    let rowsPerChunk = max(1, maximumElementCount / max(1, tensor.shape.columns))
    return stride(from: 0, to: rowCount, by: rowsPerChunk).map { start in
      TensorChunk(
        tensor: tensor, encoding: encoding, method: method,
        rows: start..<min(start + rowsPerChunk, rowCount))
    }
  }

  /// Elements of the chunk.
  var elementCount: Int { rows.count * tensor.shape.columns }

  /// Does the work.
  func convert() -> Result {
    var values = [Float](repeating: 0, count: elementCount)
    var span = values.mutableSpan
    widen(tensor, rows: rows, into: &span)
    switch encoding {
    case .quantized(let bits, _):
      return quantize(values, bits: bits)
    case .plain(.bf16):
      return narrow(values)
    case .plain:
      return Result(codes: [UInt8](littleEndian: values))
    }
  }

  /// BF16 rounds, too: its error is measured like that of codes.
  private func narrow(_ values: [Float]) -> Result {
    let narrowed = values.map { BFloat16($0) }
    var statistics = QuantizationStatistics()
    for (value, narrow) in zip(values, narrowed) {
      statistics.elementCount += 1
      if value.isFinite, narrow.floatValue.isFinite {
        let error = Double(narrow.floatValue) - Double(value)
        statistics.squaredError += error * error
        statistics.squaredNorm += Double(value) * Double(value)
      } else if value.isNaN {
        statistics.nanCount += 1
      } else {
        statistics.infinityCount += 1
      }
    }
    return Result(codes: [UInt8](littleEndian: narrowed), statistics: statistics)
  }

  private func quantize(_ values: [Float], bits: Int) -> Result {
    let columns = tensor.shape.columns
    let groups = elementCount / encoding.groupSize(columns: columns)
    var result = Result(codes: [UInt8](repeating: 0, count: elementCount * bits / 8))
    var scales = [BFloat16](repeating: BFloat16(bitPattern: 0), count: groups)
    var codeSpan = result.codes.mutableSpan
    var scaleSpan = scales.mutableSpan
    result.statistics = quantizeRows(
      values.span, columns: columns, encoding: encoding, method: method, codes: &codeSpan,
      scales: &scaleSpan)
    result.scales = [UInt8](littleEndian: scales)
    return result
  }
}

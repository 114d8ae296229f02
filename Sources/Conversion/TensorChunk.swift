// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
import Quantization
import TensorCore

/// A part of one tensor on its way from the source's encoding to another.
struct TensorChunk: Sendable {
  /// Most elements of a chunk that is converted, unless one row has more; one that is copied has four
  /// times as many bytes.
  static let maximumElementCount = 1 << 18
  /// Elements that are converted together, unless one row has more: their stored bytes, their float32
  /// form and their codes stay in the second-level cache.
  private static let blockElementCount = 1 << 16

  private enum Part: Sendable {
    /// Bytes to be kept as they are.
    case bytes(Range<Int>)
    /// Rows to be converted.
    case rows(Range<Int>)
  }

  let tensor: EncodedTensor
  private let encoding: TensorEncoding
  private let method: RoundingMethod
  private let part: Part
  private let countsNonFinite: Bool

  /// What a chunk becomes.
  struct Result: Sendable {
    /// Codes, or plain elements, at the front of a buffer.
    var codes: [UInt8] = []
    /// How much of the buffer they fill.
    var codeByteCount = 0
    /// Scales in the byte order of the file; none for plain elements.
    var scales: [UInt8] = []
    var statistics = QuantizationStatistics()
    /// Bytes of the source that went into it.
    var sourceByteCount = 0
  }

  /// The chunks of a tensor.
  ///
  /// - Parameters:
  ///   - tensor: The tensor of the source.
  ///   - encoding: What it becomes.
  ///   - method: How scales are chosen.
  ///   - countsNonFinite: Whether NaN and infinities are counted where nothing is converted, too.
  /// - Returns: The chunks, first to last; one without anything for a tensor without elements.
  static func all(
    of tensor: EncodedTensor, as encoding: TensorEncoding, method: RoundingMethod,
    countsNonFinite: Bool
  ) -> [TensorChunk] {
    func chunk(_ part: Part) -> TensorChunk {
      TensorChunk(
        tensor: tensor, encoding: encoding, method: method, part: part,
        countsNonFinite: countsNonFinite)
    }
    // Rows without elements can be more than could ever be listed.
    guard tensor.region.byteCount > 0 else { return [chunk(.bytes(0..<0))] }
    guard encoding != tensor.encoding else {
      return pieces(of: tensor.region.byteCount, maximumElementCount * 4).map { chunk(.bytes($0)) }
    }
    let rowsPerChunk = max(1, maximumElementCount / max(1, tensor.shape.columns))
    return pieces(of: tensor.shape.rows, rowsPerChunk).map { chunk(.rows($0)) }
  }

  /// Bytes of the largest chunk of a tensor, codes or plain elements, as `all` divides it; of one whose rows are
  /// longer than a chunk, what a chunk should have.
  static func usualByteCount(
    of shape: TensorShape, from source: TensorEncoding, to target: TensorEncoding
  ) -> Int {
    let most = maximumElementCount * 4
    guard source != target else { return min(source.byteCount(shape) ?? 0, most) }
    let rows = max(1, min(shape.rows, maximumElementCount / max(1, shape.columns)))
    return min((target.codeByteCount(shape) ?? 0) / max(1, shape.rows) * rows, most)
  }

  private static func pieces(of count: Int, _ size: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
  }

  /// Does the work.
  ///
  /// - Throws: `FileError` if the source cannot be read.
  func convert(_ buffers: ChunkBuffers) throws(FileError) -> Result {
    switch part {
    case .bytes(let range): try copy(range, buffers)
    case .rows(let rows): try convert(rows, buffers)
    }
  }

  private func copy(_ range: Range<Int>, _ buffers: ChunkBuffers) throws(FileError) -> Result {
    guard !range.isEmpty else { return Result() }
    var result = Result(codeByteCount: range.count, sourceByteCount: range.count)
    result.codes = buffers.takeBytes(range.count)
    try buffers.copy(tensor.region.part(range), into: &result.codes)
    if countsNonFinite, case .plain(let dtype) = tensor.encoding {
      let found = unsafe NonFiniteCount(
        result.codes.span.bytes.extracting(0..<range.count), as: dtype)
      result.statistics.nanCount = found.nanCount
      result.statistics.infinityCount = found.infinityCount
    }
    return result
  }

  /// Converts rows, a block of them at a time.
  private func convert(_ rows: Range<Int>, _ buffers: ChunkBuffers) throws(FileError) -> Result {
    let columns = tensor.shape.columns
    var result = Result(codeByteCount: byteCount(of: rows, as: encoding))
    var codes = buffers.takeBytes(result.codeByteCount)
    let rowsPerBlock = min(rows.count, max(1, Self.blockElementCount / columns))
    var values = buffers.takeValues(rowsPerBlock * columns)
    defer { buffers.giveBack(values) }
    var target = codes.mutableSpan
    for block in Self.pieces(of: rows.count, rowsPerBlock) {
      let source = rows.lowerBound + block.lowerBound..<rows.lowerBound + block.upperBound
      var span = values.mutableSpan
      var wide = span._mutatingExtracting(0..<block.count * columns)
      result.sourceByteCount += try buffers.widen(tensor, rows: source, into: &wide)
      let start = byteCount(of: 0..<block.lowerBound, as: encoding)
      var bytes = target._mutatingExtracting(start..<start + byteCount(of: block, as: encoding))
      let (scales, statistics) = write(wide.span, into: &bytes)
      result.scales += scales
      result.statistics = result.statistics + statistics
    }
    result.codes = codes
    return result
  }

  private func byteCount(of rows: Range<Int>, as encoding: TensorEncoding) -> Int {
    let elements = rows.count * tensor.shape.columns
    return switch encoding {
    case .plain(let dtype): elements * dtype.bitWidth / 8
    case .quantized(let bits, _): elements * bits / 8
    }
  }

  /// Writes values in the new encoding.
  private func write(
    _ values: Span<Float>, into bytes: inout MutableSpan<UInt8>
  ) -> (scales: [UInt8], QuantizationStatistics) {
    switch encoding {
    case .quantized: return quantize(values, into: &bytes)
    case .plain(.bf16): return ([], narrow(values, into: &bytes))
    case .plain:
      unsafe bytes.copy(from: values.bytes)
      return ([], QuantizationStatistics())
    }
  }

  private func quantize(
    _ values: Span<Float>, into bytes: inout MutableSpan<UInt8>
  ) -> (scales: [UInt8], QuantizationStatistics) {
    let columns = tensor.shape.columns
    let groups = values.count / encoding.groupSize(columns: columns)
    var scales = [BFloat16](repeating: BFloat16(bitPattern: 0), count: groups)
    var scaleSpan = scales.mutableSpan
    let statistics = quantizeRows(
      values, columns: columns, encoding: encoding, method: method, codes: &bytes,
      scales: &scaleSpan)
    return ([UInt8](littleEndian: scales), statistics)
  }

  /// BF16 rounds, too: its error is measured like that of codes.
  private func narrow(
    _ values: Span<Float>, into bytes: inout MutableSpan<UInt8>
  ) -> QuantizationStatistics {
    var statistics = QuantizationStatistics(elementCount: values.count)
    for index in 0..<values.count {
      let value = values[index]
      let narrowed = BFloat16(value)
      bytes[2 * index] = UInt8(truncatingIfNeeded: narrowed.bitPattern)
      bytes[2 * index + 1] = UInt8(truncatingIfNeeded: narrowed.bitPattern >> 8)
      if value.isFinite, narrowed.floatValue.isFinite {
        let error = Double(narrowed.floatValue) - Double(value)
        statistics.squaredError += error * error
        statistics.squaredNorm += Double(value) * Double(value)
      } else if value.isNaN {
        statistics.nanCount += 1
      } else {
        statistics.infinityCount += 1
      }
    }
    return statistics
  }
}

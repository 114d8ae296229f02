// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
import Quantization
import TensorCore

/// Quantizes one matrix of a checkpoint, with what is known about its inputs.
struct TensorRounder: Sendable {
  /// How matrices are rounded against moments.
  let rounding: CalibratedRounding
  let workers: Workers

  /// Elements that are held in float32 at a time.
  private static let elementsPerChunk = 1 << 22
  /// Magnitudes whose squares, times each other, stay finite.
  private static let magnitudes: ClosedRange<Float> = 0...0x1p30

  /// Quantizes.
  ///
  /// - Parameters:
  ///   - stored: The matrix.
  ///   - target: What it becomes.
  ///   - inputs: What is known about its inputs.
  /// - Returns: Codes and scales in memory, and what they cost.
  /// - Throws: What is wrong with a compressed block, or `Errno` if there is no memory.
  func quantize(
    _ stored: StoredTensor, as target: SequentialQuantizer.Target, knowing inputs: InputKnowledge
  ) throws -> QuantizedTensor {
    let metric = try? inputs.get()
    let source = try stored.load(workers: workers)
    let (rows, columns) = (source.shape.rows, source.shape.columns)
    let panels = Self.elementsPerChunk / max(columns, 1) / WeightPanel.rows
    let rowsPerChunk = max(panels, 1) * WeightPanel.rows
    var codes: [UInt8] = []
    var scales: [BFloat16] = []
    var statistics = QuantizationStatistics()
    var outputError = metric == nil ? nil : OutputError()
    var note: String?
    if case .failure(let problem) = inputs, target.method.needsCalibration {
      note = "\(problem); rounded by search"
    }
    for start in stride(from: 0, to: rows, by: rowsPerChunk) {
      let weights = Self.widened(source, rows: start..<min(start + rowsPerChunk, rows))
      var values: Matrix?
      if let metric, Self.isOrdinary(weights),
        let calibrated = calibrated(weights, as: target, metric: metric)
      {
        let (result, strayed) = withinBound(calibrated, of: weights, as: target)
        if strayed > 0 { note = "\(strayed) rows strayed too far; rounded by search" }
        codes += result.codes
        scales += result.scales
        statistics = statistics + Self.statistics(of: result.values, against: weights)
        values = result.values
      } else {
        if metric != nil, target.method.needsCalibration {
          note = "has weights of a magnitude beyond 2^30; rounded by search"
        }
        let part = Self.roundedAlone(weights, as: target)
        codes += part.codes
        scales += part.scales
        statistics = statistics + part.statistics
        if Self.isOrdinary(weights) { values = part.values }
      }
      if let metric, let values {
        outputError = outputError.map {
          $0 + OutputError(of: values, against: weights, moments: metric.moments)
        }
      }
    }
    return QuantizedTensor(
      tensor: try Self.tensor(codes, scales, as: target.encoding, shape: source.shape),
      statistics: statistics, outputError: outputError, note: note)
  }

  /// Rounds by what is known about the inputs; nil for a method that does not ask.
  private func calibrated(
    _ weights: Matrix, as target: SequentialQuantizer.Target, metric: RoundingMetric
  ) -> CalibratedRounding.Result? {
    switch target.method {
    case .roundToNearest: nil
    case .search:
      rounding.search(
        weights, as: target.encoding, importance: metric.secondMoments, workers: workers)
    case .gptq:
      rounding.round(weights, as: target.encoding, metric: metric, workers: workers)
    }
  }

  private static func widened(_ source: EncodedTensor, rows: Range<Int>) -> Matrix {
    var weights = Matrix(rows: rows.count, columns: source.shape.columns)
    var span = weights.elements.mutableSpan
    widen(source, rows: rows, into: &span)
    return weights
  }

  private static func isOrdinary(_ weights: Matrix) -> Bool {
    // NaN is in no range.
    weights.elements.allSatisfy { magnitudes.contains(abs($0)) }
  }

  /// Rounds without moments.
  private static func roundedAlone(
    _ weights: Matrix, as target: SequentialQuantizer.Target
  ) -> (codes: [UInt8], scales: [BFloat16], statistics: QuantizationStatistics, values: Matrix) {
    let count = weights.elements.count
    guard case .quantized(let bits, _) = target.encoding else {
      preconditionFailure("\(target.encoding) is not an integer encoding")
    }
    let group = target.encoding.groupSize(columns: weights.columns)
    var codes = [UInt8](repeating: 0, count: count * bits / 8)
    var scales = [BFloat16](repeating: BFloat16(bitPattern: 0), count: count / group)
    var codeSpan = codes.mutableSpan
    var scaleSpan = scales.mutableSpan
    let statistics = quantizeRows(
      weights.elements.span, columns: weights.columns, encoding: target.encoding,
      method: target.method, codes: &codeSpan, scales: &scaleSpan)
    var values = Matrix(rows: weights.rows, columns: weights.columns)
    var span = values.elements.mutableSpan
    let scaleBytes = [UInt8](littleEndian: scales)
    unsafe widenCodes(
      bits: bits, group: group, codes: codes.span.bytes, scales: scaleBytes.span.bytes,
      into: &span)
    return (codes, scales, statistics, values)
  }

  /// Rounds the rows alone that error feedback has moved further than `RoundingBound` permits.
  private func withinBound(
    _ result: CalibratedRounding.Result, of weights: Matrix,
    as target: SequentialQuantizer.Target
  ) -> (CalibratedRounding.Result, strayed: Int) {
    var result = result
    var strayed = 0
    let group = target.encoding.groupSize(columns: weights.columns)
    let groups = weights.columns / group
    let bytes = result.codes.count / max(weights.rows, 1)
    for row in 0..<weights.rows {
      let hasStrayed = (0..<weights.columns).contains { column in
        let scale = result.scales[row * groups + column / group].floatValue
        return abs(weights[row, column] - result.values[row, column])
          > RoundingBound.calibratedSteps * abs(scale)
      }
      guard hasStrayed else { continue }
      strayed += 1
      let alone = Self.roundedAlone(weights.rows(row..<row + 1), as: target)
      result.codes.replaceSubrange(row * bytes..<(row + 1) * bytes, with: alone.codes)
      result.scales.replaceSubrange(row * groups..<(row + 1) * groups, with: alone.scales)
      for column in 0..<weights.columns { result.values[row, column] = alone.values[0, column] }
    }
    return (result, strayed)
  }

  private static func statistics(
    of values: Matrix, against weights: Matrix
  ) -> QuantizationStatistics {
    var statistics = QuantizationStatistics(elementCount: weights.elements.count)
    for (value, weight) in zip(values.elements, weights.elements) {
      let error = Double(value) - Double(weight)
      statistics.squaredError += error * error
      statistics.squaredNorm += Double(weight) * Double(weight)
    }
    return statistics
  }

  /// Codes and scales as a tensor in memory.
  private static func tensor(
    _ codes: [UInt8], _ scales: [BFloat16], as encoding: TensorEncoding, shape: TensorShape
  ) throws -> EncodedTensor {
    let bytes = codes + [UInt8](littleEndian: scales)
    let memory = try UnpackedMemory(copying: bytes)
    guard
      let tensor = EncodedTensor(
        encoding: encoding, shape: shape, region: MappedRegion(memory: memory))
    else { throw CalibrationError.unfit(encoding: "\(encoding)", shape: "\(shape)") }
    return tensor
  }
}

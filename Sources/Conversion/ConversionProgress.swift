// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Quantization
import TensorCore

/// How far a packing or an export is as a whole: the tensors that go through it, and a calibration that they wait for.
final class ConversionProgress {
  private let activity: String
  private let handler: Progress.Handler
  private var completedByteCount = 0
  private let totalByteCount: Int
  private var stream = Progress.Work(completed: 0, total: 0)
  /// The last report of the calibration.
  private var calibration: Progress?

  /// - Parameters:
  ///   - activity: How the whole is called.
  ///   - byteCount: Bytes of all tensors of the source.
  ///   - handler: Where reports go.
  init(activity: String, byteCount: Int, handler: @escaping Progress.Handler) {
    self.activity = activity
    self.handler = handler
    totalByteCount = byteCount
  }

  /// Takes note of what is to be done.
  ///
  /// - Parameters:
  ///   - work: What the conversion of all tensors costs, but for the calibration.
  ///   - calibration: The calibration before it starts; nil without one.
  func expect(work: Double, calibration: Progress? = nil) {
    stream.total = work
    self.calibration = calibration
  }

  /// Takes note of tensors, or parts of them, that are done; of what is to be done again with negative numbers.
  ///
  /// - Parameters:
  ///   - byteCount: Bytes of the source.
  ///   - work: What they cost.
  ///   - name: The tensor.
  func advance(byteCount: Int, work: Double, at name: String) {
    completedByteCount += byteCount
    stream.completed += work
    report(name)
  }

  /// Takes note of a report of the calibration.
  func calibrated(_ report: Progress) {
    calibration = report
    self.report(report.detail)
  }

  private func report(_ detail: String) {
    guard let calibration else {
      handler(
        Progress(
          activity: activity, detail: detail, completed: completedByteCount, total: totalByteCount,
          unit: .bytes, work: stream))
      return
    }
    // Bytes come in bursts, a layer at a time: matrices tell more.
    handler(
      Progress(
        activity: activity, detail: detail, completed: calibration.completed,
        total: calibration.total, unit: calibration.unit, work: stream + calibration.work))
  }
}

extension ConversionStream.Job {
  /// Nanoseconds on a nominal machine, measured on one core: to read and write a byte, and to round or widen an
  /// element.
  private static let (copy, round, search, widen, compress) = (3.0, 2.0, 10.0, 1.0, 10.0)

  /// What the job costs.
  ///
  /// - Parameters:
  ///   - isCalibrated: Whether it is quantized elsewhere, and only copied here.
  ///   - isCompressed: Whether what is written is compressed.
  /// - Returns: Nanoseconds.
  func work(isCalibrated: Bool, isCompressed: Bool) -> Double {
    let elements = Double(stored.shape.elementCount)
    let written = Double(encoding.byteCount(stored.shape) ?? 0)
    let base = Double(stored.byteCount) * Self.copy + (isCompressed ? written * Self.compress : 0)
    guard encoding != stored.encoding, !isCalibrated else { return base }
    guard encoding.isQuantized else { return base + elements * Self.widen }
    return base + elements * (method == .roundToNearest ? Self.round : Self.search)
  }
}

// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// How far a measurement of all parts of a model is: runs of the model, and the quantization of the parts between them.
final class SensitivityProgress {
  private let handler: Progress.Handler
  private var scan = Progress.Work(completed: 0, total: 0)
  private var calibration = Progress.Work(completed: 0, total: 0)
  private var completedPartCount = 0
  private var partCount = 0

  /// - Parameter handler: Where reports go.
  init(_ handler: @escaping Progress.Handler) {
    self.handler = handler
  }

  /// Takes note of what is to be done.
  ///
  /// - Parameters:
  ///   - partCount: Parts of the model.
  ///   - work: What it costs to run the model for them.
  ///   - calibration: The quantizer before it starts; nil without one.
  func expect(partCount: Int, work: Double, calibration: Progress?) {
    self.partCount = partCount
    scan.total = work
    if let calibration { self.calibration = calibration.work }
  }

  /// Takes note of layers that were run.
  func ran(_ work: Double, for detail: String) {
    scan.completed += work
    report(detail)
  }

  /// Takes note of a part that is measured.
  func finished(_ detail: String) {
    completedPartCount += 1
    report(detail)
  }

  /// Takes note of a report of the quantizer.
  func calibrated(_ report: Progress) {
    calibration = report.work
    self.report(report.detail)
  }

  private func report(_ detail: String) {
    handler(
      Progress(
        activity: "sensitivity", detail: detail, completed: completedPartCount, total: partCount,
        unit: .parts, work: scan + calibration))
  }
}

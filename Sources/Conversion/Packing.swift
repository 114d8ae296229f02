// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Kernels
import KilnFormat
import KimiLinear
package import Quantization
package import SystemPackage
package import TensorCore

/// Writes a packed model by a plan: one file, or a folder of shards.
package struct Packing: Sendable {
  private let plan: PackingPlan
  private let workers: Workers

  /// - Parameters:
  ///   - plan: What to write.
  ///   - workers: Threads. The bytes do not depend on their number.
  package init(_ plan: PackingPlan, workers: Workers) {
    self.plan = plan
    self.workers = workers
  }

  /// What happened to the tensors.
  package struct Report: Sendable {
    /// One entry for each item of the plan; for tensors that were kept, only what is not finite.
    package fileprivate(set) var statistics: [QuantizationStatistics] = []
    /// The relative error of each item's outputs on the calibration text; nil where it is not known.
    package fileprivate(set) var outputErrors: [Double?] = []
    /// Bytes of all files that were written.
    package fileprivate(set) var fileByteCount = 0
    /// Files that were written.
    package fileprivate(set) var fileCount = 0
    /// Tensors that an earlier run had written.
    package fileprivate(set) var resumedTensorCount = 0
    /// Whether an earlier run was to be resumed, but was one of another source, recipe or flags.
    package fileprivate(set) var replacesOtherJob = false
    /// What calibration measured; nil without one.
    package fileprivate(set) var evidence: CalibrationEvidence?
  }

  /// The form of KDA that calibration runs, whatever the processor: bytes depend on it.
  private static let calibrationKernel = KimiDeltaKernel.chunkwise(chunk: 16)

  /// Runs what is left of the calibration, and gathers what it measured.
  private func evidence(of calibrated: SequentialQuantizer) throws -> CalibrationEvidence {
    try calibrated.finish()
    var evidence = CalibrationEvidence()
    evidence.coverage = calibrated.coverage
    for measured in calibrated.measurements {
      if let error = measured.outputError {
        evidence.outputErrors[plan.source.role(of: measured.name), default: OutputError()] =
          evidence.outputErrors[plan.source.role(of: measured.name), default: OutputError()] + error
      }
      if let note = measured.note { evidence.notes.append((measured.name, note)) }
    }
    return evidence
  }

  /// Checks the place of the output as `run` does, without writing.
  ///
  /// - Throws: `FileError`.
  package func checkTarget(_ path: FilePath, replacing: Bool) throws {
    if plan.isSharded {
      try OutputFolder.checkTarget(path, replacing: replacing)
    } else {
      try OutputFile.checkTarget(path, replacing: replacing)
    }
    try OutputFile.checkSpace(for: path, byteCount: plan.fileByteCount)
  }

  /// Writes the model.
  ///
  /// - Parameters:
  ///   - path: The name of the file or the folder.
  ///   - replacing: Whether what has that name may be replaced.
  ///   - resuming: Whether to go on where an earlier run of the same job was killed, and to leave what
  ///     is needed for that if this one fails.
  ///   - progress: Told how far it is.
  /// - Returns: What was measured.
  /// - Throws: `FileError`; then nothing is left under that name, or what was there before.
  package func run(
    to path: FilePath, replacing: Bool, resuming: Bool = false,
    progress: @escaping Progress.Handler
  ) throws -> Report {
    let checkpoint = plan.source.checkpoint
    try PackedIntegrity(checkpoint).checkFiles()
    if let calibration = plan.calibration, !plan.targets.isEmpty {
      try FiniteCheck.checkWeights(
        of: plan.source, sample: calibration.sample, workers: workers, progress: progress)
    }
    let target = try PackingTarget(
      path, isFolder: plan.isSharded, replacing: replacing, resuming: resuming,
      byteCount: plan.fileByteCount, fileNames: plan.shards.map(\.fileName),
      replacesWeights: plan.options.shards == nil)
    let journal = try Journal(
      for: target.place,
      job: plan.job,
      resuming: resuming)
    var report = Report()
    report.replacesOtherJob = journal.replacesOtherJob
    let progress = ConversionProgress(
      activity: plan.isLossless ? "convert" : "quantize",
      byteCount: plan.items.reduce(0) { $0 + $1.stored.byteCount }, handler: progress)
    var run = try PackingRun(
      plan: plan, workers: workers, target: target, journal: journal, progress: progress
    ) {
      try plan.calibration.map { calibration in
        try SequentialQuantizer(
          plan.source, targets: plan.targets, sample: calibration.sample,
          rounding: calibration.rounding,
          options: Model.Options(kernel: Self.calibrationKernel, workers: workers),
          progress: progress.calibrated)
      }
    }
    FreedMemory.giveBack()
    for shard in plan.shards {
      report.fileByteCount += try run.write(shard)
      report.fileCount += 1
    }
    report.statistics = run.measured.map { $0?.statistics ?? QuantizationStatistics() }
    report.outputErrors = run.measured.map { $0?.outputError }
    report.resumedTensorCount = run.resumedTensorCount
    for file in checkpoint.dataFiles { try file.checkSize() }
    if let calibrated = run.calibrated, let calibration = plan.calibration {
      let evidence = try evidence(of: calibrated)
      report.evidence = evidence
      run.describe(calibration: calibration.json(with: evidence))
    }
    try run.commit()
    journal.remove()
    return report
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
package import Kernels
import KilnFormat
import KimiLinear
package import Quantization
package import SystemPackage
package import TensorCore

/// Writes a packed file by a plan.
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
    package fileprivate(set) var statistics: [QuantizationStatistics]
    /// Bytes of the packed file.
    package let fileByteCount: Int
  }

  /// Checks the place of the output as `run` does, without writing.
  ///
  /// - Throws: `FileError`.
  package func checkTarget(_ path: FilePath, replacing: Bool) throws {
    try OutputFile.checkTarget(path, replacing: replacing)
    try OutputFile.checkSpace(for: path, byteCount: plan.fileByteCount)
  }

  /// Writes the file.
  ///
  /// - Parameters:
  ///   - path: Its name.
  ///   - replacing: Whether a file of that name may be replaced.
  ///   - progress: Told how far it is.
  /// - Returns: What was measured.
  /// - Throws: `FileError`; then nothing is left under that name, or what was there before.
  package func run(
    to path: FilePath, replacing: Bool, progress: Progress.Handler
  ) throws -> Report {
    let output = try OutputFile(path, replacing: replacing, byteCount: plan.fileByteCount)
    let writer = try KilnWriter(plan.layout, to: output)
    let integrity = PackedIntegrity(plan.source.checkpoint)
    try integrity.checkFiles()
    for file in plan.source.checkpoint.files {
      try writer.write(file.region.bytes)
    }
    var report = Report(
      statistics: [QuantizationStatistics](
        repeating: QuantizationStatistics(), count: plan.items.count),
      fileByteCount: plan.fileByteCount)
    let jobs = plan.items.map { item in
      ConversionStream.Job(stored: item.stored, encoding: item.encoding, method: item.method)
    }
    let isLossless = !plan.items.contains { $0.encoding != $0.stored.tensor.encoding }
    let stream = ConversionStream(
      workers: workers, activity: isLossless ? "convert" : "quantize", integrity: integrity,
      countsNonFinite: !isLossless)
    try stream.run(
      jobs, progress: progress,
      write: { try writer.write($0) },
      finished: { job, statistics in report.statistics[job] = statistics })
    for file in plan.source.checkpoint.dataFiles { try file.checkSize() }
    try writer.commit()
    return report
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
package import KimiLinear
package import Quantization
package import SystemPackage
package import TensorCore

/// How fast tensors of a checkpoint are converted and quantized, files and checksums included.
///
/// Everything goes to files in a scratch folder: from the page cache, where the source was read
/// before, and to where the folder is. Each file is brought to the disk before it counts as written.
package struct ConversionBenchmark {
  /// What was done.
  package enum Job: Sendable, Equatable {
    /// The bytes of the tensors were copied to a file, as `cp` does.
    case copy
    /// The tensors were packed bit for bit.
    case convert
    /// The tensors were quantized by the default recipe.
    case quantize(TensorEncoding, RoundingMethod)
  }

  /// What was measured of one job.
  package struct Result: Sendable {
    /// The job.
    package let job: Job
    /// Bytes of tensors that were read.
    package let sourceByteCount: Int
    /// Bytes that were written.
    package let writtenByteCount: Int
    /// Times of the job.
    package let time: Measurement

    /// Bytes of source a second.
    package var bytesPerSecond: Double { Double(sourceByteCount) / time.median }
  }

  /// Most bytes of tensors that are written by a job, unless one expert has more.
  private static let maximumByteCount = 2_000_000_000

  private let source: CheckedCheckpoint
  private let folder: ScratchFolder
  private let workers: Workers
  private let repeats: Int
  private let options = PackingPlan.Options(shardByteCount: maximumByteCount, shards: 1...1)
  /// The tensors that all jobs work on: of a large checkpoint the first ones.
  private let tensors: [StoredTensor]

  /// - Parameters:
  ///   - source: The checkpoint.
  ///   - parent: Where a scratch folder is created.
  ///   - workers: Threads.
  ///   - repeats: Runs of each job.
  /// - Throws: `FileError` if the folder cannot be created, or what keeps the checkpoint from being packed.
  package init(
    _ source: CheckedCheckpoint, in parent: FilePath, workers: Workers, repeats: Int
  ) throws {
    self.source = source
    self.workers = workers
    self.repeats = repeats
    tensors = try PackingPlan(source, recipe: nil, producer: "kiln bench", options: options)
      .items.map(\.stored)
    folder = try ScratchFolder(in: parent, named: "kiln-bench")
  }

  /// Whether tensors are quantized already, so that only lossless jobs make sense.
  package var isQuantized: Bool { source.tensors.tensors.contains { $0.encoding.isQuantized } }

  /// Measures a job.
  ///
  /// - Throws: `FileError`, for a full disk too.
  package func run(_ job: Job) throws -> Result {
    var written = 0
    let time = try Measurement(
      repeats: repeats, { written = try write(job) }, cleanUp: { try folder.empty() })
    return Result(
      job: job, sourceByteCount: tensors.reduce(0) { $0 + $1.byteCount },
      writtenByteCount: written, time: time)
  }

  private func write(_ job: Job) throws -> Int {
    switch job {
    case .copy: try copy()
    case .convert: try pack(nil)
    case .quantize(let scheme, let method):
      try pack(Recipe(defaultFor: scheme, method: method))
    }
  }

  private func copy() throws -> Int {
    let output = try OutputFile(folder.path.appending("copy"), replacing: false)
    for tensor in tensors {
      let region = try tensor.load(workers: workers).region
      try output.write(region.bytes)
    }
    try output.commit()
    return output.byteCount
  }

  private func pack(_ recipe: Recipe?) throws -> Int {
    let plan = try PackingPlan(source, recipe: recipe, producer: "kiln bench", options: options)
    let report = try Packing(plan, workers: workers).run(
      to: folder.subfolder, replacing: false, progress: { _ in })
    return report.fileByteCount
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KilnFormat
package import KimiLinear
import Quantization
import Safetensors
package import SystemPackage
package import TensorCore

/// Writes a checkpoint folder from a packed file, so that any program can check what Kiln claims.
///
/// Tensors get the names, shapes and order of bytes that the original checkpoint had. What was
/// kept bit for bit comes back bit for bit; what was quantized is written as code times scale.
package struct SafetensorsExport: Sendable {
  private let source: CheckedCheckpoint
  private let tensors: [ExportedTensor]
  private let plan: ShardPlan
  private let workers: Workers
  /// The element type of the export, if it is not that of the original checkpoint.
  private let changedType: DType?

  /// - Parameters:
  ///   - source: An open packed file.
  ///   - dtype: Element type for quantized tensors. In `f32` their values are exact; in `bf16` they
  ///     are rounded.
  ///   - shardByteCount: Most bytes of tensors in a file.
  ///   - workers: Threads. The bytes do not depend on their number.
  /// - Throws: `ConversionError.tooManyFiles` for more files than an index may name.
  package init(
    _ source: CheckedCheckpoint, dtype: DType, shardByteCount: Int, workers: Workers
  ) throws(ConversionError) {
    self.source = source
    self.workers = workers
    tensors = ExportedTensor.all(of: source.tensors, dtype: dtype)
    plan = ShardPlan(tensors.map(\.planned), shardByteCount: shardByteCount)
    changedType = Self.changedType(of: tensors)
    guard plan.shards.count <= SafetensorsIndex.maximumShardCount else {
      throw .tooManyFiles(
        source.checkpoint.path, count: plan.shards.count,
        limit: SafetensorsIndex.maximumShardCount)
    }
  }

  /// The type that a reader must load the tensors in, once some have another one than in the checkpoint that they
  /// came from: float32 if any is exact in nothing less, else that of most elements.
  ///
  /// Who changed the type does not matter: the configuration is that of the original all the same.
  private static func changedType(of tensors: [ExportedTensor]) -> DType? {
    let changed = tensors.filter { tensor in
      tensor.jobs.contains {
        $0.stored.encoding != $0.encoding || $0.stored.sourceDType != tensor.planned.dtype
      }
    }
    guard !changed.isEmpty else { return nil }
    if changed.contains(where: { $0.planned.dtype == .f32 }) { return .f32 }
    var elements: [DType: Double] = [:]
    for tensor in tensors where tensor.planned.dtype.isComputable {
      elements[tensor.planned.dtype, default: 0] += Double(tensor.planned.shape.elementCount)
    }
    return elements.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key
  }

  /// Bytes of all tensors.
  package var byteCount: Int { plan.byteCount }
  /// Number of safetensors files.
  package var shardCount: Int { plan.shards.count }
  /// Number of tensors.
  package var tensorCount: Int { tensors.count }

  /// About how much memory writing takes, in bytes.
  package var peakMemoryByteCount: Int {
    ConversionStream.peakMemoryByteCount(
      largestTensor: source.tensors.tensors.map(\.byteCount).max() ?? 0,
      workers: workers)
  }

  /// Checks the place of the output as `run` does, without writing.
  ///
  /// - Throws: `FileError`.
  package func checkTarget(_ path: FilePath, replacing: Bool) throws {
    try OutputFolder.checkTarget(path, replacing: replacing)
    try OutputFile.checkSpace(for: path, byteCount: plan.byteCount)
  }

  /// Writes the folder.
  ///
  /// - Parameters:
  ///   - path: Its name.
  ///   - replacing: Whether a folder of that name may be replaced.
  ///   - resuming: Whether to go on where an earlier run of the same job was killed, and to leave what
  ///     is needed for that if this one fails.
  ///   - progress: Told how far it is.
  /// - Returns: Tensors that an earlier run had written.
  /// - Throws: `FileError`; then nothing is left under that name, or what was there before.
  package func run(
    to path: FilePath, replacing: Bool, resuming: Bool = false,
    progress: @escaping Progress.Handler
  ) throws -> Int {
    let checkpoint = source.checkpoint
    let integrity = PackedIntegrity(checkpoint)
    try integrity.checkFiles()
    let folder = try OutputFolder(
      path, replacing: replacing, byteCount: plan.byteCount, resuming: resuming,
      superseded: isWeights)
    if resuming { try folder.removeFiles(except: Set(plan.shards.map(\.fileName))) }
    let headers = plan.shards.map { $0.header.encoded() }
    let journal = try Journal(
      for: folder.target,
      job: Checksum.of(headers.flatMap { $0 } + Array("\(checkpoint.fingerprint)".utf8)),
      resuming: resuming)
    for file in checkpoint.files {
      let output = try folder.file(named: file.name)
      try output.resume(at: 0)
      if file.name == "config.json", let changedType {
        try output.write(
          ExportedConfiguration.text(
            file.region.bytes.copy(), file: checkpoint.displayName(of: file.name),
            dtype: changedType))
      } else {
        try output.write(file.region.bytes)
      }
      try output.commit()
    }
    let stream = ConversionStream(workers: workers, integrity: integrity)
    let progress = ConversionProgress(
      activity: "convert", byteCount: source.tensors.tensors.reduce(0) { $0 + $1.byteCount },
      handler: progress)
    progress.expect(work: tensors.flatMap(\.jobs).reduce(0) { $0 + stream.work(of: $1) })
    var run = ExportRun(
      stream: stream, folder: folder, journal: journal, isResuming: resuming, progress: progress,
      totalTensorCount: tensors.count)
    for (shard, header) in zip(plan.shards, headers) {
      try run.write(
        shard.fileName, header: header, tensors: shard.tensors.map { tensors[$0] })
    }
    if plan.shards.count > 1 {
      let output = try folder.file(named: SafetensorsIndex.fileName)
      try output.resume(at: 0)
      try output.write(SafetensorsIndex.encoded(plan))
      try output.commit()
    }
    for file in checkpoint.dataFiles { try file.checkSize() }
    TemporaryOutputs.note(nil)
    try folder.commit()
    journal.remove()
    return run.resumedTensorCount
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
package import Kernels
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
  /// Whether a file of an older folder holds weights, which the new ones replace.
  private static func isWeights(_ name: String) -> Bool {
    name.hasSuffix(".safetensors") || name.hasSuffix(".safetensors.index.json")
  }

  private let source: CheckedCheckpoint
  private let tensors: [ExportedTensor]
  private let plan: ShardPlan
  private let workers: Workers

  /// - Parameters:
  ///   - source: An open packed file.
  ///   - dtype: Element type for quantized tensors. In `f32` their values are exact; in `bf16` they
  ///     are rounded.
  ///   - shardByteCount: Most bytes of tensors in a file.
  ///   - workers: Threads. The bytes do not depend on their number.
  package init(
    _ source: CheckedCheckpoint, dtype: DType, shardByteCount: Int, workers: Workers
  ) {
    self.source = source
    self.workers = workers
    tensors = ExportedTensor.all(of: source.tensors, dtype: dtype)
    plan = ShardPlan(tensors.map(\.planned), shardByteCount: shardByteCount)
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
      largestTensor: source.tensors.tensors.map(\.tensor.region.byteCount).max() ?? 0,
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
  ///   - progress: Told how far it is.
  /// - Throws: `FileError`; then nothing is left under that name, or what was there before.
  package func run(
    to path: FilePath, replacing: Bool, progress: @escaping Progress.Handler
  ) throws {
    let folder = try OutputFolder(
      path, replacing: replacing, byteCount: plan.byteCount, superseded: Self.isWeights)
    let integrity = PackedIntegrity(source.checkpoint)
    try integrity.checkFiles()
    for file in source.checkpoint.files {
      let output = try folder.file(named: file.name)
      try output.write(file.region.bytes)
      try output.commit()
    }
    var completed = 0
    let total = source.tensors.tensors.reduce(0) { $0 + $1.tensor.region.byteCount }
    for shard in plan.shards {
      let output = try folder.file(named: shard.fileName)
      try output.write(shard.header.encoded())
      let jobs = shard.tensors.flatMap { tensors[$0].jobs }
      let stream = ConversionStream(
        workers: workers, activity: "convert", integrity: integrity)
      try stream.run(
        jobs,
        progress: { report in
          progress(report.offset(by: completed, of: total))
        },
        write: { try output.write($0) }, finished: { _, _ in })
      completed += jobs.reduce(0) { $0 + $1.stored.tensor.region.byteCount }
      try output.commit()
    }
    if plan.shards.count > 1 {
      let output = try folder.file(named: SafetensorsIndex.fileName)
      try output.write(SafetensorsIndex.encoded(plan))
      try output.commit()
    }
    for file in source.checkpoint.dataFiles { try file.checkSize() }
    try folder.commit()
  }
}

/// One tensor of the folder, made of one or more tensors of the packed file.
private struct ExportedTensor: Sendable {
  let planned: ShardPlan.Tensor
  let jobs: [ConversionStream.Job]

  static func all(of tensors: ModelTensors, dtype: DType) -> [ExportedTensor] {
    var assembled = Set<ExactString>()
    var exported: [ExportedTensor] = []
    for assembly in tensors.assemblies {
      assembled.formUnion(assembly.parts)
      exported.append(
        ExportedTensor(
          name: assembly.name, shape: assembly.shape,
          parts: assembly.parts.compactMap { tensors[$0] },
          dtype: dtype))
    }
    for stored in tensors.tensors where !assembled.contains(stored.name) {
      exported.append(
        ExportedTensor(
          name: stored.name, shape: stored.tensor.shape, parts: [stored], dtype: dtype))
    }
    let orders = exported.map { TensorOrder($0.planned.name) }
    return exported.indices.sorted { orders[$0] < orders[$1] }.map { exported[$0] }
  }

  /// `dtype` is for tensors of which a part is quantized.
  private init(name: ExactString, shape: TensorShape, parts: [StoredTensor], dtype: DType) {
    // Parts that were kept have one type, that of the source; one that was not decides for all.
    let kept = Set(parts.map(\.tensor.encoding))
    let target: DType
    if kept.count == 1, case .plain(let only)? = kept.first {
      target = only
    } else {
      target = dtype
    }
    jobs = parts.map { part in
      ConversionStream.Job(stored: part, encoding: .plain(target), method: .roundToNearest)
    }
    planned = ShardPlan.Tensor(
      name: name, dtype: target, shape: shape,
      byteCount: target.byteCount(elementCount: shape.elementCount) ?? 0)
  }
}

extension Progress {
  /// The same report as a part of something larger.
  fileprivate func offset(by done: Int, of total: Int) -> Progress {
    Progress(
      activity: activity, detail: detail, completed: completed + done, total: total, unit: unit)
  }
}

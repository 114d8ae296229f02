// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
import Quantization
import TensorCore

/// Brings tensors to other encodings in one pass, many threads at work, bytes in order.
///
/// Memory holds one batch of chunks, whatever the checkpoint's size; pages of the source are let
/// go as soon as they were used.
struct ConversionStream {
  /// Chunks that are worked on together.
  private static let chunksPerBatch = 16

  /// About how much memory a stream takes, in bytes: the pages of the largest tensor, a batch of
  /// chunks, their float32 forms, and the process itself.
  static func peakMemoryByteCount(largestTensor: Int, workers: Workers) -> Int {
    let results = chunksPerBatch * TensorChunk.maximumElementCount * 2
    let values = workers.count * TensorChunk.maximumElementCount * 4
    return largestTensor + results + values + 32 << 20
  }

  /// One tensor on its way.
  struct Job {
    let stored: StoredTensor
    let encoding: TensorEncoding
    let method: RoundingMethod
  }

  let workers: Workers
  /// How the activity is called in progress reports.
  let activity: String
  /// What is known about the bytes of the source.
  let integrity: PackedIntegrity
  /// Whether NaN and infinities are counted in tensors that are copied, too.
  var countsNonFinite = false

  /// Converts tensors, one after the other.
  ///
  /// - Parameters:
  ///   - jobs: What to convert.
  ///   - progress: Told after each batch.
  ///   - write: Called with the bytes of all tensors, in order; nothing else is written between.
  ///   - finished: Called when a tensor's bytes have all been written.
  /// - Throws: What `write` and `finished` throw, or what is wrong with a packed source.
  func run(
    _ jobs: [Job], progress: Progress.Handler,
    write: (RawSpan) throws -> Void,
    finished: (_ job: Int, QuantizationStatistics) throws -> Void
  ) throws {
    let total = jobs.reduce(0) { $0 + $1.stored.byteCount }
    var completed = 0
    func report(_ index: Int) {
      progress(
        Progress(
          activity: activity, detail: jobs[index].stored.name.text, completed: completed,
          total: total, unit: .bytes))
    }
    var batch = Batch()
    for (index, job) in jobs.enumerated() {
      try integrity.check(job.stored.name)
      let tensor = try job.stored.load(workers: workers)
      guard job.encoding != tensor.encoding else {
        try flush(&batch, write: write, finished: finished)
        try finished(index, try copy(tensor, write: write))
        completed += tensor.region.byteCount
        report(index)
        continue
      }
      let chunks = TensorChunk.all(of: tensor, as: job.encoding, method: job.method)
      for (number, chunk) in chunks.enumerated() {
        batch.chunks.append(chunk)
        batch.jobs.append(index)
        if number == chunks.count - 1 { batch.lastChunks.insert(batch.chunks.count - 1) }
        if batch.chunks.count == Self.chunksPerBatch {
          try flush(&batch, write: write, finished: finished)
          report(index)
        }
      }
      if chunks.isEmpty {
        try flush(&batch, write: write, finished: finished)
        try finished(index, QuantizationStatistics())
      }
      completed += tensor.region.byteCount
    }
    try flush(&batch, write: write, finished: finished)
    if !jobs.isEmpty { report(jobs.count - 1) }
  }

  /// Chunks that wait for work, and what the tensor at the batch's start still has to write.
  private struct Batch {
    var chunks: [TensorChunk] = []
    var jobs: [Int] = []
    /// Positions of chunks that end their tensor.
    var lastChunks = Set<Int>()
    /// Scales follow all codes of a tensor, so those of a long one wait here.
    var scales: [UInt8] = []
    var statistics = QuantizationStatistics()
  }

  private func flush(
    _ batch: inout Batch, write: (RawSpan) throws -> Void,
    finished: (_ job: Int, QuantizationStatistics) throws -> Void
  ) throws {
    let chunks = batch.chunks
    let results = workers.map(chunks.count) { chunks[$0].convert() }
    for (index, result) in results.enumerated() {
      unsafe try write(result.codes.span.bytes)
      batch.scales.append(contentsOf: result.scales)
      batch.statistics = batch.statistics + result.statistics
      if batch.lastChunks.contains(index) {
        if !batch.scales.isEmpty { unsafe try write(batch.scales.span.bytes) }
        try finished(batch.jobs[index], batch.statistics)
        batch.scales = []
        batch.statistics = QuantizationStatistics()
        chunks[index].tensor.region.release()
      }
    }
    batch.chunks = []
    batch.jobs = []
    batch.lastChunks = []
  }

  /// Writes stored bytes as they are, a piece at a time.
  ///
  /// - Returns: How many values are not finite, if anybody asked; nothing else is measured.
  private func copy(
    _ tensor: EncodedTensor, write: (RawSpan) throws -> Void
  ) throws -> QuantizationStatistics {
    let pieceByteCount = 1 << 24
    var statistics = QuantizationStatistics()
    for start in stride(from: 0, to: tensor.region.byteCount, by: pieceByteCount) {
      let piece = tensor.region.part(
        start..<min(start + pieceByteCount, tensor.region.byteCount))
      try write(piece.bytes)
      if countsNonFinite, case .plain(let dtype) = tensor.encoding, dtype.isComputable {
        statistics = statistics + Self.nonFinite(piece.bytes, dtype)
      }
      piece.release()
    }
    return statistics
  }

  /// NaN and infinities among plain elements.
  private static func nonFinite(_ bytes: RawSpan, _ dtype: DType) -> QuantizationStatistics {
    var values = [Float](repeating: 0, count: bytes.byteCount * 8 / dtype.bitWidth)
    var span = values.mutableSpan
    widen(dtype, bytes, into: &span)
    var statistics = QuantizationStatistics()
    for value in values where !value.isFinite {
      if value.isNaN { statistics.nanCount += 1 } else { statistics.infinityCount += 1 }
    }
    return statistics
  }
}

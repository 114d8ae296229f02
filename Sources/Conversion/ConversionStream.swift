// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Quantization
import TensorCore

/// Brings tensors to other encodings in one pass, many threads at work, bytes in order.
///
/// One thread writes what is ready while the others read and convert what comes next. Memory holds
/// the chunks between the two, whatever the checkpoint's size; a compressed tensor is unpacked as a whole.
struct ConversionStream {
  /// Chunks that are at work or wait to be written: some for each thread, but no more memory the more threads
  /// are asked for.
  private static func chunksAhead(of workers: Workers) -> Int { min(4 * workers.count, 24) }

  /// About how much memory a stream takes, in bytes: the largest tensor, were it compressed, the chunks
  /// that wait, blocks of float32 values, and the process itself.
  static func peakMemoryByteCount(largestTensor: Int, workers: Workers) -> Int {
    let results = (chunksAhead(of: workers) + 1) * TensorChunk.maximumElementCount * 4
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
  /// What is known about the bytes of the source.
  let integrity: PackedIntegrity
  /// Whether NaN and infinities are counted in tensors that are copied, too.
  var countsNonFinite = false
  /// Whether what is written is compressed behind it.
  var isCompressed = false
  /// Quantizes matrices by a calibration text; nil without one.
  var calibrated: SequentialQuantizer?

  /// A chunk with its place in the stream.
  private struct Step: Sendable {
    let chunk: TensorChunk
    let job: Int
    let endsJob: Bool
  }

  /// Converts tensors, one after the other.
  ///
  /// - Parameters:
  ///   - jobs: What to convert; made when they are needed, if need be.
  ///   - progress: Told after each chunk.
  ///   - write: Called with the bytes of all tensors, in order; nothing else is written between.
  ///   - finished: Called with the index of a job when its bytes have all been written, and what was measured.
  /// - Throws: What `write` and `finished` throw, or what is wrong with the source.
  func run<Jobs: RandomAccessCollection<Job>>(
    _ jobs: Jobs, progress: ConversionProgress,
    write: (RawSpan) throws -> Void,
    finished: (_ job: Int, MeasuredTensor) throws -> Void
  ) throws where Jobs.Index == Int {
    var started = jobs.startIndex
    var waiting: ArraySlice<Step> = []
    // What was measured of matrices that were quantized before they came here.
    var measured: [Int: MeasuredTensor] = [:]
    // Scales follow all codes of a tensor, so those of a long one wait here.
    var scales: [UInt8] = []
    var statistics = QuantizationStatistics()
    let ahead = Self.chunksAhead(of: workers)
    let buffers = ChunkBuffers(
      count: ahead + 1,
      byteCount: jobs.reduce(0) { largest, job in
        // What calibration has quantized is copied.
        let isCopied = isCalibrated(job)
        return max(
          largest,
          TensorChunk.usualByteCount(
            of: job.stored.shape, from: isCopied ? job.encoding : job.stored.encoding,
            to: job.encoding))
      })
    // The buffer of the chunk before: once the next comes nothing else refers to it.
    var spent: [UInt8] = []
    try workers.inOrder(
      ahead: ahead,
      next: {
        while waiting.isEmpty, started < jobs.endIndex {
          let job = jobs[started]
          if let calibrated, isCalibrated(job) {
            try integrity.check(job.stored.name)
            let quantized = try calibrated.take(job.stored.name)
            measured[started] = MeasuredTensor(
              statistics: quantized.statistics, outputError: quantized.outputError?.relative)
            waiting = steps(of: quantized.tensor, job, number: started)[...]
          } else {
            waiting = try steps(of: job, number: started)[...]
          }
          started += 1
        }
        return waiting.popFirst()
      },
      transform: { step in (step, Result { try step.chunk.convert(buffers) }) },
      consume: { step, outcome in
        buffers.giveBack(&spent)
        let result = try outcome.get()
        spent = result.codes
        unsafe try write(result.codes.span.bytes.extracting(0..<result.codeByteCount))
        scales += result.scales
        statistics = statistics + result.statistics
        let job = jobs[step.job]
        var done = measured[step.job] == nil ? result.sourceByteCount : 0
        if step.endsJob {
          let known = measured.removeValue(forKey: step.job)
          if known != nil { done = job.stored.byteCount }
          unsafe try write(scales.span.bytes)
          try finished(step.job, known ?? MeasuredTensor(statistics: statistics))
          scales = []
          statistics = QuantizationStatistics()
        }
        progress.advance(
          byteCount: done,
          work: work(of: job) * Double(done) / Double(max(job.stored.byteCount, 1)),
          at: job.stored.name.text)
      })
  }

  /// What a job costs, but for its calibration.
  func work(of job: Job) -> Double {
    job.work(isCalibrated: isCalibrated(job), isCompressed: isCompressed)
  }

  /// Whether a matrix is quantized before it comes here.
  private func isCalibrated(_ job: Job) -> Bool {
    job.encoding != job.stored.encoding && calibrated?.reaches(job.stored.name) == true
  }

  /// The chunks of a tensor, whose bytes are found to be sound first.
  private func steps(of job: Job, number: Int) throws -> [Step] {
    try integrity.check(job.stored.name)
    return steps(of: try job.stored.load(workers: workers), job, number: number)
  }

  private func steps(of tensor: EncodedTensor, _ job: Job, number: Int) -> [Step] {
    let chunks = TensorChunk.all(
      of: tensor, as: job.encoding, method: job.method, countsNonFinite: countsNonFinite)
    return chunks.enumerated().map { index, chunk in
      Step(chunk: chunk, job: number, endsJob: index == chunks.count - 1)
    }
  }
}

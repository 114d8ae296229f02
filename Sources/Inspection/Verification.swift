// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import Kernels
import KilnFormat
import KimiLinear
import SystemPackage
package import TensorCore

/// Checks everything about a checkpoint that can be checked without another one.
///
/// Opening has checked the structure. Here every byte is read: checksums and padding of a packed
/// file, scales that must be finite, values that are NaN or infinite; and the tensors are compared with
/// the configuration: names, shapes, completeness.
package struct Verification: Sendable {
  /// One thing that is wrong.
  package struct Finding: Sendable, Equatable {
    /// The tensor, file or place.
    package let subject: String
    /// What is wrong with it.
    package let problem: String

    package init(subject: String, problem: String) {
      self.subject = subject
      self.problem = problem
    }
  }

  /// What is wrong, in the order of the file; empty for a sound checkpoint.
  package private(set) var findings: [Finding] = []
  /// Tensors that were read.
  package let tensorCount: Int
  /// Bytes that were read.
  package let byteCount: Int

  /// Reads a checkpoint.
  ///
  /// - Parameters:
  ///   - checkpoint: The checkpoint.
  ///   - workers: Threads. The findings do not depend on their number.
  ///   - progress: Told how far it is.
  package init(_ checkpoint: Checkpoint, workers: Workers, progress: Progress.Handler) {
    let tensors = checkpoint.storedTensors
    let total = tensors.reduce(0) { $0 + $1.storedByteCount }
    tensorCount = tensors.count
    byteCount = total
    let packed = checkpoint.packed?.first
    if let packed { findings += Self.damage(outsideTensorsOf: packed) }
    // A lone file of tensors has no configuration to be compared with.
    if checkpoint.kind != .safetensors || checkpoint.hasFile("config.json") {
      do {
        _ = try CheckedCheckpoint(checkpoint)
      } catch {
        findings.append(Finding(subject: "model", problem: "\(error)"))
      }
    }
    let extents = packed.map { packed in
      Dictionary(uniqueKeysWithValues: packed.header.tensors.map { ($0.name, $0.extent) })
    }
    var completed = 0
    for batch in Self.batches(tensors) {
      let results = workers.map(batch.count) { index in
        Self.findings(in: batch[index], extent: extents?[batch[index].name], packed: packed)
      }
      for (stored, result) in zip(batch, results) {
        findings += result
        completed += stored.storedByteCount
      }
      progress(
        Progress(
          activity: "verify", detail: batch.last?.name.text ?? "", completed: completed,
          total: total, unit: .bytes))
    }
  }

  /// Runs of tensors that are read together: enough for all threads, not too much memory.
  private static func batches(_ tensors: [StoredTensor]) -> [[StoredTensor]] {
    var batches: [[StoredTensor]] = []
    var room = 0
    for tensor in tensors {
      if room <= 0 {
        batches.append([])
        room = 1 << 28
      }
      batches[batches.count - 1].append(tensor)
      room -= tensor.storedByteCount
    }
    return batches
  }

  /// Files that travel inside, and the zeros between entries.
  private static func damage(outsideTensorsOf packed: KilnFile) -> [Finding] {
    let files = packed.header.files.filter { !packed.isIntact($0.extent) }.map {
      Finding(subject: $0.name, problem: "checksum does not match")
    }
    let paddings = packed.paddings.filter { range in
      packed.file.bytes.copy(range).contains { $0 != 0 }
    }.map { Finding(subject: "padding at byte \($0.lowerBound)", problem: "is not 0") }
    return files + paddings
  }

  private static func findings(
    in stored: StoredTensor, extent: KilnHeader.Extent?, packed: KilnFile?
  ) -> [Finding] {
    var findings: [Finding] = []
    if let packed, let extent {
      let damaged = extent.checksums.indices.filter { !packed.isIntact(extent, block: $0) }
      if let first = damaged.first {
        findings.append(
          Finding(
            subject: stored.name.text,
            problem: "checksum does not match in \(damaged.count) of"
              + " \(extent.checksums.count) blocks, first at byte"
              + " \(extent.range.lowerBound + first * KilnHeader.blockByteCount)"))
      }
    }
    guard let tensor = try? stored.load(workers: Workers(count: 1)) else { return findings }
    let values = NonFiniteCount(tensor)
    if values.nanCount + values.infinityCount > 0 {
      findings.append(
        Finding(
          subject: stored.name.text,
          problem: "\(values.nanCount) NaN and \(values.infinityCount) infinite"
            + (stored.encoding.isQuantized ? " scales" : " values")))
    }
    return findings
  }
}

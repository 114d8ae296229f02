// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import KimiLinear
import Synchronization
import SystemPackage
package import TensorCore

/// Checks everything about a checkpoint that can be checked without another one.
///
/// Opening has checked the structure. Here every byte is read, once: checksums and padding of a packed
/// file, scales that must be finite and not 0, values that are NaN or infinite; and the tensors are
/// compared with the configuration: names, shapes, completeness.
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

  /// What is wrong with files other than tensors, which may be the cause of the rest.
  package let fileFindings: [Finding]
  /// What is wrong with the model as a whole.
  package private(set) var modelFindings: [Finding] = []
  /// What is wrong with tensors and padding, in the order of the file.
  package let tensorFindings: [Finding]
  /// All that is wrong, causes first; empty for a sound checkpoint.
  package var findings: [Finding] { fileFindings + modelFindings + tensorFindings }
  /// The checkpoint with its configuration, if these fit together; it knows which tensors are unknown.
  package private(set) var model: CheckedCheckpoint?
  /// Tensors that were read.
  package let tensorCount: Int
  /// Bytes of the tensors.
  package let byteCount: Int

  /// Blocks that are worked on together, between two reports of progress.
  private static let blocksPerBatch = 256

  /// Reads a checkpoint.
  ///
  /// - Parameters:
  ///   - checkpoint: The checkpoint.
  ///   - workers: Threads. The findings do not depend on their number.
  ///   - progress: Told how far it is.
  /// - Throws: `FileError` where a file cannot be read or changes meanwhile.
  package init(
    _ checkpoint: Checkpoint, workers: Workers, progress: Progress.Handler
  ) throws(FileError) {
    tensorCount = checkpoint.storedTensors.count
    byteCount = checkpoint.storedTensors.reduce(0) { $0 + $1.storedByteCount }
    let entries = ScannedEntry.all(of: checkpoint)
    let scanned = try Self.scan(entries, workers: workers, progress: progress)
    tensorFindings = scanned.tensors
    fileFindings =
      scanned.files
      + checkpoint.foreignFiles.map { Finding(subject: $0.name, problem: $0.problem) }
    // A lone file of tensors has no configuration to be compared with, nor has a saved base or calibration.
    if checkpoint.kind != .safetensors && !checkpoint.isWithoutModel
      || checkpoint.hasFile("config.json")
    {
      do {
        let checked = try CheckedCheckpoint(checkpoint)
        model = checked
        if try checked.hasAmbiguousHead(workers: workers) {
          throw ModelError.ambiguousHead(model: checkpoint.path.string)
        }
      } catch {
        modelFindings.append(Finding(subject: "model", problem: "\(error)"))
      }
    }
    for file in checkpoint.dataFiles { try file.checkSize() }
  }

  /// Reads all blocks of all entries; a thread that is done takes the next block, whatever it is of.
  private static func scan(
    _ entries: [ScannedEntry], workers: Workers, progress: Progress.Handler
  ) throws(FileError) -> (files: [Finding], tensors: [Finding]) {
    let total = entries.reduce(0) { $0 + $1.region.byteCount }
    let reader = BlockReader()
    var findings: (files: [Finding], tensors: [Finding]) = ([], [])
    var completed = 0
    // The blocks of a batch, and for each entry that ends in it the block behind its last one.
    var blocks: [(entry: Int, block: Int)] = []
    var tally = ScannedEntry.Tally()

    func work() throws(FileError) {
      let batch = blocks
      let results = workers.map(batch.count) { index in
        Result { () throws(FileError) in
          try entries[batch[index].entry].scan(block: batch[index].block, with: reader)
        }
      }
      for (place, result) in zip(batch, results) {
        let entry = entries[place.entry]
        tally = tally + (try result.get())
        guard place.block == entry.blockCount - 1 else { continue }
        if entry.isFile {
          findings.files += entry.findings(tally)
        } else {
          findings.tensors += entry.findings(tally)
        }
        tally = ScannedEntry.Tally()
        completed += entry.region.byteCount
      }
      blocks.removeAll(keepingCapacity: true)
      guard let last = batch.last else { return }
      let started = entries[last.entry].blocks[last.block].upperBound
      let isComplete = last.block == entries[last.entry].blockCount - 1
      progress(
        Progress(
          activity: "verify", detail: entries[last.entry].subject,
          completed: completed + (isComplete ? 0 : started), total: total, unit: .bytes))
    }

    for (index, entry) in entries.enumerated() {
      for block in 0..<entry.blockCount {
        blocks.append((index, block))
        if blocks.count == blocksPerBatch { try work() }
      }
    }
    try work()
    return findings
  }
}

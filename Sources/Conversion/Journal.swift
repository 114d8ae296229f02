// SPDX-License-Identifier: Apache-2.0

import JSON
import KilnFormat
import Quantization
import SystemPackage
import TensorCore

/// What a long job has done so far, so that a later run can go on where it was killed.
///
/// The first line names the job; each further one is an entry that was written, in order, with its
/// checksums. Every line begins with its own checksum: the first that does not match ends what is
/// believed, and the bytes of the output are believed only where they match the entry's checksums.
final class Journal {
  /// An entry that was written.
  struct Record {
    /// Where it is in its file, and its checksums.
    let extent: KilnHeader.Extent
    /// What was measured on the way.
    let measured: MeasuredTensor
  }

  /// The entries of an earlier run of the same job, first to last.
  let records: [Record]
  /// Whether there was a journal of another job, which is gone now.
  let replacesOtherJob: Bool
  private let file: JournalFile
  /// Where each line ends, in bytes from the start: the title, then the records.
  private var lineEnds: [Int] = []

  /// Starts a journal, or goes on with that of an earlier run of the same job.
  ///
  /// - Parameters:
  ///   - output: The final name of the output, which is locked.
  ///   - job: A digest of everything that determines the output.
  ///   - resuming: Whether an earlier run counts, and this one's journal stays if it fails.
  /// - Throws: `FileError`.
  init(for output: FilePath, job: UInt64, resuming: Bool) throws {
    file = try JournalFile(for: output, resuming: resuming)
    let title = Self.line(["journal": .integer(1), "job": .string(Checksum.text(job))])
    let former = resuming ? try file.lines() : []
    replacesOtherJob = !former.isEmpty && former.first != title
    guard former.first == title else {
      records = []
      try file.clear()
      try append(title)
      return
    }
    var records: [Record] = []
    for line in former.dropFirst() {
      guard let record = Self.record(line, file: file.path) else { break }
      records.append(record)
    }
    self.records = records
    for line in former.prefix(1 + records.count) { countLine(line) }
    try keep(records.count)
  }

  /// Forgets all but the first entries, because the output does not have the others.
  ///
  /// - Throws: `FileError`.
  func keep(_ count: Int) throws {
    lineEnds = Array(lineEnds.prefix(1 + count))
    try file.keep(lineEnds.last ?? 0)
  }

  private func countLine(_ line: [UInt8]) {
    lineEnds.append((lineEnds.last ?? 0) + line.count + 1)
  }

  private func append(_ line: [UInt8]) throws {
    try file.append(line)
    countLine(line)
  }

  /// Notes an entry that was written.
  ///
  /// - Throws: `FileError`.
  func append(_ record: Record) throws {
    let statistics = record.measured.statistics
    try append(
      Self.line([
        "entry": record.extent.json,
        "statistics": [
          "squared_error": .number(statistics.squaredError),
          "squared_norm": .number(statistics.squaredNorm),
          "elements": .integer(statistics.elementCount),
          "nan": .integer(statistics.nanCount),
          "infinite": .integer(statistics.infinityCount),
        ],
        "output_error": record.measured.outputError.map { .number($0) } ?? .null,
      ]))
  }

  /// Removes the journal: the output is complete.
  func remove() { file.remove() }

  private static func line(_ value: JSONValue) -> [UInt8] {
    let text = JSONWriter.compact(value)
    return Array("\(Checksum.text(Checksum.of(text))) ".utf8) + text
  }

  private static func record(_ line: [UInt8], file: FilePath) -> Record? {
    let text = [UInt8](line.dropFirst(17))
    guard line.starts(with: Array("\(Checksum.text(Checksum.of(text))) ".utf8)),
      let root = try? JSONField(
        file: file.string, root: JSONValue(parsing: text, file: file.string)),
      let extent = try? KilnHeader.Extent(root["entry"]),
      let measured = try? measured(root)
    else { return nil }
    return Record(extent: extent, measured: measured)
  }

  private static func measured(_ root: JSONField) throws -> MeasuredTensor {
    MeasuredTensor(
      statistics: try statistics(root["statistics"]),
      outputError: try root["output_error"].ifPresent?.number())
  }

  private static func statistics(_ field: JSONField) throws -> QuantizationStatistics {
    // Sums over all tensors that a model may have must not overflow.
    let counts = 0...1 << 40
    return QuantizationStatistics(
      squaredError: try field["squared_error"].number(),
      squaredNorm: try field["squared_norm"].number(),
      elementCount: try field["elements"].integer(in: counts),
      nanCount: try field["nan"].integer(in: counts),
      infinityCount: try field["infinite"].integer(in: counts))
  }
}

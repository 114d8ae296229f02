// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import JSON
import KilnFormat
import KimiLinear
import SystemPackage
import TensorCore

/// One run of a packing, file after file, with a note in the journal for every entry.
struct PackingRun {
  private let plan: PackingPlan
  private let workers: Workers
  private let target: PackingTarget
  private let journal: Journal
  private let progress: ConversionProgress
  /// Begins a calibration; gives nil without a text.
  private let calibrate: () throws -> SequentialQuantizer?
  /// Quantizes by a calibration text; nil without one.
  private(set) var calibrated: SequentialQuantizer?

  /// Entries of an earlier run that were not looked at yet.
  private var former: ArraySlice<Journal.Record>
  /// Entries that the output has, of all files.
  private var keptEntries = 0
  /// The file that is complete but for its name, if the output is a single one.
  private var last: KilnWriter?

  /// What was measured of each item of the plan; nil of what is not written yet.
  private(set) var measured: [MeasuredTensor?]
  /// Tensors that an earlier run had written.
  private(set) var resumedTensorCount = 0
  /// Tensors that the output has.
  private var completedTensorCount = 0

  init(
    plan: PackingPlan, workers: Workers, target: PackingTarget, journal: Journal,
    progress: ConversionProgress,
    calibrate: @escaping () throws -> SequentialQuantizer?
  ) throws {
    self.calibrate = calibrate
    calibrated = try calibrate()
    self.plan = plan
    self.workers = workers
    self.target = target
    self.journal = journal
    self.progress = progress
    former = journal.records[...]
    measured = Array(repeating: nil, count: plan.items.count)
    let stream = stream
    progress.expect(
      work: plan.items.reduce(0) { $0 + stream.work(of: Self.job($1)) },
      calibration: calibrated?.progressSoFar)
    noteWork()
  }

  /// What converts the tensors.
  private var stream: ConversionStream {
    ConversionStream(
      workers: workers, integrity: PackedIntegrity(plan.source.checkpoint),
      countsNonFinite: !plan.isLossless, isCompressed: plan.options.compressionLevel != nil,
      calibrated: calibrated)
  }

  private static func job(_ item: PackingPlan.Item) -> ConversionStream.Job {
    ConversionStream.Job(stored: item.stored, encoding: item.encoding, method: item.method)
  }

  /// Says how many tensors are complete, for the case that the process is ended.
  private func noteWork() {
    TemporaryOutputs.note(
      TemporaryOutputs.Work(
        path: target.hiddenPath, isKept: target.isResuming, completed: completedTensorCount,
        total: plan.items.count))
  }

  /// Writes one file, or what an earlier run left to be written of it.
  ///
  /// - Returns: Its size in bytes.
  /// - Throws: `FileError`, or what is wrong with the source.
  mutating func write(_ shard: PackingPlan.Shard) throws -> Int {
    let records = former.prefix(shard.entryCount)
    former = former.dropFirst(shard.entryCount)
    if let file = target.completed(shard.fileName), Self.isComplete(file, shard, records) {
      accept(records, of: shard)
      return file.byteCount
    }
    let output = try target.output(shard.fileName)
    let (start, resumedBefore) = (keptEntries, resumedTensorCount)
    var writer = KilnWriter(
      shard.layout, to: output, level: plan.options.compressionLevel ?? 0, workers: workers)
    if target.isResuming {
      let count = try writer.resume(records.map(\.extent), in: output.existing())
      accept(records.prefix(count), of: shard)
      try journal.keep(keptEntries)
      former = []
    }
    try fill(writer, with: shard)
    if shard.layout.isCompressed,
      try writer.finish() >= shard.plainByteCount || !writer.hasCompressedEntries
    {
      // Compression has not earned its place; then the file is to be as if nobody had asked for it.
      keptEntries = start
      resumedTensorCount = resumedBefore
      try journal.keep(keptEntries)
      try output.resume(at: 0)
      guard let plainLayout = shard.plainLayout() else {
        throw ConversionError.tooLarge(plan.source.checkpoint.path)
      }
      writer = KilnWriter(plainLayout, to: output)
      // Matrices that were fetched are gone: to keep them would take the memory of the whole file.
      calibrated = try calibrate()
      for item in plan.items[shard.items] { advance(item, by: -1) }
      completedTensorCount -= shard.items.count
      try fill(writer, with: shard)
    }
    let byteCount = try writer.finish()
    if plan.calibration != nil {
      writer.describe(
        errors: shard.items.map { item in
          plan.items[item].isQuantizedNow ? measured[item]?.errors : plan.items[item].keptErrors
        })
    }
    if plan.isSharded { try writer.commit() } else { last = writer }
    return byteCount
  }

  /// Replaces what the header of a single file says about the calibration.
  func describe(calibration: JSONValue) { last?.describe(calibration: calibration) }

  /// Gives the output its name.
  ///
  /// - Throws: `FileError`.
  func commit() throws {
    TemporaryOutputs.note(nil)
    try last?.commit()
    try target.commit()
  }

  /// Whether a file that has its name already is what this run would write.
  private static func isComplete(
    _ file: MappedFile, _ shard: PackingPlan.Shard, _ records: ArraySlice<Journal.Record>
  ) -> Bool {
    guard records.count == shard.entryCount, let packed = try? KilnFile(mapped: file) else {
      return false
    }
    let extents = packed.header.files.map(\.extent) + packed.header.tensors.map(\.extent)
    return extents == records.map(\.extent) && packed.header.shard == shard.layout.header.shard
      && packed.paddings.allSatisfy { packed.file.bytes.isZero($0) }
      && extents.allSatisfy(packed.isIntact)
  }

  /// Counts entries of an earlier run as done.
  private mutating func accept(
    _ records: ArraySlice<Journal.Record>, of shard: PackingPlan.Shard
  ) {
    keptEntries += records.count
    for (item, record) in zip(shard.items, records.dropFirst(shard.fileCount)) {
      measured[item] = record.measured
      advance(plan.items[item], by: 1)
      resumedTensorCount += 1
      completedTensorCount += 1
    }
    noteWork()
  }

  /// Takes note of a tensor that needs no work, or needs it again.
  private func advance(_ item: PackingPlan.Item, by sign: Int) {
    progress.advance(
      byteCount: sign * item.stored.byteCount,
      work: Double(sign) * stream.work(of: Self.job(item)), at: item.stored.name.text)
  }

  /// Writes the entries that a file lacks.
  private mutating func fill(_ writer: KilnWriter, with shard: PackingPlan.Shard) throws {
    var notes = EntryNotes(writer: writer, shard: shard, journal: journal)
    if shard.fileCount > 0 {
      for file in plan.source.checkpoint.files.dropFirst(writer.completeEntries) {
        try writer.write(file.region.bytes)
      }
    }
    let firstItem = shard.items.lowerBound + max(0, notes.noted - shard.fileCount)
    let items = plan.items[firstItem..<shard.items.upperBound]
    try stream.run(
      items.lazy.map(Self.job), progress: progress,
      write: { try writer.write($0) },
      finished: { item, found in
        measured[item] = found
        try notes.note(measured)
        completedTensorCount += 1
        noteWork()
      })
    _ = try writer.finish()
    try notes.note(measured)
    keptEntries += shard.entryCount - notes.first
  }
}

/// Brings entries to the journal once they are written and measured, in order.
private struct EntryNotes {
  private let writer: KilnWriter
  private let shard: PackingPlan.Shard
  private let journal: Journal
  /// Entries that were there at the start.
  let first: Int
  /// Entries that are in the journal.
  private(set) var noted: Int

  init(writer: KilnWriter, shard: PackingPlan.Shard, journal: Journal) {
    self.writer = writer
    self.shard = shard
    self.journal = journal
    first = writer.completeEntries
    noted = first
  }

  /// - Parameter measured: What was measured of each item of the plan.
  /// - Throws: `FileError`.
  mutating func note(_ measured: [MeasuredTensor?]) throws {
    while noted < writer.completeEntries {
      var entry = MeasuredTensor()
      if noted >= shard.fileCount {
        guard let found = measured[shard.items.lowerBound + noted - shard.fileCount] else { return }
        entry = found
      }
      try journal.append(
        Journal.Record(extent: writer.extent(of: noted), measured: entry))
      noted += 1
    }
  }
}

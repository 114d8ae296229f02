// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KilnFormat
import Safetensors
import SystemPackage
import TensorCore

/// One run of an export, safetensors file after safetensors file, with a note in the journal for every
/// tensor.
struct ExportRun {
  let stream: ConversionStream
  let folder: OutputFolder
  let journal: Journal
  let isResuming: Bool
  let progress: ConversionProgress
  /// Tensors that the output will have.
  let totalTensorCount: Int

  /// Tensors that an earlier run had written.
  private(set) var resumedTensorCount = 0
  private var former: ArraySlice<Journal.Record>
  /// Tensors that the output has, of all files.
  private var keptTensorCount = 0

  init(
    stream: ConversionStream, folder: OutputFolder, journal: Journal, isResuming: Bool,
    progress: ConversionProgress, totalTensorCount: Int
  ) {
    self.stream = stream
    self.folder = folder
    self.journal = journal
    self.isResuming = isResuming
    self.progress = progress
    self.totalTensorCount = totalTensorCount
    former = journal.records[...]
    noteWork(0)
  }

  /// Says how many tensors are complete, for the case that the process is ended.
  private func noteWork(_ completed: Int) {
    TemporaryOutputs.note(
      TemporaryOutputs.Work(
        path: folder.hiddenPath, isKept: isResuming, completed: completed, total: totalTensorCount))
  }

  /// Writes one file, or what an earlier run left to be written of it.
  ///
  /// - Throws: `FileError`, or what is wrong with the source.
  mutating func write(_ name: String, header: [UInt8], tensors: [ExportedTensor]) throws {
    let records = former.prefix(tensors.count)
    former = former.dropFirst(tensors.count)
    let places = Self.places(of: tensors, behind: header.count)
    if isResuming, let file = folder.existing(named: name),
      file.byteCount == places.last?.upperBound ?? header.count,
      Self.intactCount(records, places, header, in: file) == tensors.count
    {
      accept(tensors[...])
      return
    }
    if isResuming { folder.removeFile(named: name) }
    let output = try folder.file(named: name)
    var done = 0
    if isResuming {
      done = Self.intactCount(records, places, header, in: try output.existing())
      try output.resume(at: done == 0 ? 0 : places[done - 1].upperBound)
      accept(tensors[..<done])
      try journal.keep(keptTensorCount)
      former = []
    }
    if output.byteCount == 0 { try output.write(header) }
    try write(tensors[done...], at: places[done...], to: output)
    keptTensorCount += tensors.count - done
    try output.commit()
  }

  private mutating func write(
    _ tensors: ArraySlice<ExportedTensor>, at places: ArraySlice<Range<Int>>,
    to output: OutputFile
  ) throws {
    let jobs = tensors.flatMap(\.jobs)
    // After which job which tensor is complete.
    var lastJobs: [Int: Int] = [:]
    var jobCount = 0
    for index in tensors.indices {
      jobCount += tensors[index].jobs.count
      lastJobs[jobCount - 1] = index
    }
    let checksums = BlockChecksums(blockByteCount: KilnHeader.blockByteCount)
    let before = keptTensorCount
    try stream.run(
      jobs, progress: progress,
      write: { bytes in
        try output.write(bytes)
        checksums.update(bytes)
      },
      finished: { job, measured in
        guard let index = lastJobs[job] else { return }
        try journal.append(
          Journal.Record(
            extent: KilnHeader.Extent(range: places[index], checksums: checksums.finish()),
            measured: measured))
        noteWork(before + index - tensors.startIndex + 1)
      })
  }

  /// Counts tensors of an earlier run as done.
  private mutating func accept(_ tensors: ArraySlice<ExportedTensor>) {
    resumedTensorCount += tensors.count
    keptTensorCount += tensors.count
    for job in tensors.flatMap(\.jobs) {
      progress.advance(
        byteCount: job.stored.byteCount, work: stream.work(of: job), at: job.stored.name.text)
    }
    noteWork(keptTensorCount)
  }

  /// Where each tensor is in its file: one right behind the other.
  private static func places(of tensors: [ExportedTensor], behind start: Int) -> [Range<Int>] {
    var end = start
    return tensors.map { tensor in
      defer { end += tensor.planned.byteCount }
      return end..<end + tensor.planned.byteCount
    }
  }

  /// How many tensors an earlier run has written as its journal says, from the first on.
  private static func intactCount(
    _ records: ArraySlice<Journal.Record>, _ places: [Range<Int>], _ header: [UInt8],
    in file: MappedFile
  ) -> Int {
    guard file.byteCount >= header.count, file.bytes.copy(0..<header.count) == header else {
      return 0
    }
    return zip(records, places).prefix { record, place in
      record.extent.range == place && place.upperBound <= file.byteCount
        && record.extent.blockByteCounts == nil
        && record.extent.checksums
          == Checksum.ofBlocks(
            file.bytes.extracting(place), blockByteCount: KilnHeader.blockByteCount)
    }.count
  }
}

// SPDX-License-Identifier: Apache-2.0

package import JSON
package import TensorCore

/// Writes a packed file in one pass over its entries, in the order of the layout.
package final class KilnWriter {
  private let layout: KilnLayout
  private let output: OutputFile
  private let checksums = BlockChecksums(blockByteCount: KilnHeader.blockByteCount)
  private let compressor: BlockCompressor?
  /// What the header will say about the calibration.
  private var calibration: JSONValue
  /// What the header will say about the errors of each tensor; nil for what the layout says.
  private var errors: [KilnHeader.TensorErrors?]?
  /// Where the entries are that are written: files first, then tensors.
  private var extents: [KilnHeader.Extent] = []
  /// Bytes that the current entry still lacks.
  private var missingByteCount = 0

  /// Entries that were taken: files first, then tensors.
  ///
  /// Their bytes may still wait to be compressed.
  private var takenEntries = 0
  /// Entries that are written.
  package var completeEntries: Int { extents.count }

  /// Starts a file.
  ///
  /// - Parameters:
  ///   - layout: What will be written.
  ///   - output: Where.
  ///   - level: How hard to compress; of no account if the layout is not compressed.
  ///   - workers: Threads that compress. The bytes do not depend on their number.
  package init(
    _ layout: KilnLayout, to output: OutputFile, level: Int = 0,
    workers: Workers = Workers(count: 1)
  ) {
    self.layout = layout
    self.output = output
    calibration = layout.header.calibration
    extents.reserveCapacity(layout.header.files.count + layout.header.tensors.count)
    compressor = layout.isCompressed ? BlockCompressor(level: level, workers: workers) : nil
  }

  private var fileCount: Int { layout.header.files.count }
  private var entryCount: Int { fileCount + layout.header.tensors.count }

  /// Goes on behind the entries that an earlier run wrote, as far as they are what they should be.
  ///
  /// - Parameters:
  ///   - described: What that run said about its entries, first to last.
  ///   - existing: Its bytes.
  /// - Returns: How many entries were found as described. The next one to be written is that one.
  /// - Throws: `FileError`.
  package func resume(
    _ described: [KilnHeader.Extent], in existing: MappedFile
  ) throws(FileError) -> Int {
    var end = KilnPrelude.byteCount + layout.headerByteCount
    for extent in described.prefix(entryCount) {
      guard isPlausible(extent, of: completeEntries, behind: end),
        extent.range.upperBound <= existing.byteCount,
        existing.bytes.isZero(min(end, extent.range.lowerBound)..<extent.range.lowerBound),
        zip(extent.blocks, extent.checksums).allSatisfy({ block, checksum in
          Checksum.of(existing.bytes.extracting(block)) == checksum
        })
      else { break }
      end = extent.range.upperBound
      extents.append(extent)
    }
    takenEntries = completeEntries
    try output.resume(at: completeEntries == 0 ? 0 : end)
    return completeEntries
  }

  /// Whether an entry could have been written there.
  private func isPlausible(
    _ extent: KilnHeader.Extent, of entry: Int, behind end: Int
  ) -> Bool {
    let planned = self.planned(entry)
    guard extent.checksums.count == planned.checksums.count else { return false }
    guard layout.isCompressed else { return extent.range == planned.range }
    guard extent.range.lowerBound == KilnLayout.roundUp(end, KilnLayout.entryAlignment) else {
      return false
    }
    guard let blocks = extent.blockByteCounts else {
      return extent.range.count == planned.range.count
    }
    return blocks.count == extent.checksums.count
      && blocks.allSatisfy { (0...KilnHeader.blockByteCount).contains($0) }
      && blocks.reduce(0, +) == extent.range.count
  }

  /// What the header says about an entry that is complete.
  package func extent(of entry: Int) -> KilnHeader.Extent { extents[entry] }

  /// Writes the next bytes of the current entry, and moves on to the next entry when it is full.
  ///
  /// - Precondition: The bytes do not go beyond the entry.
  /// - Throws: `FileError`.
  package func write(_ bytes: RawSpan) throws(FileError) {
    guard bytes.byteCount > 0 else { return }
    try beginEntry()
    precondition(bytes.byteCount <= missingByteCount, "beyond the end of the entry")
    missingByteCount -= bytes.byteCount
    let isComplete = missingByteCount == 0
    if let compressor, takenEntries >= fileCount {
      let encoding = layout.header.tensors[takenEntries - fileCount].encoding
      compressor.add(bytes, of: encoding, endsEntry: isComplete)
      if isComplete { takenEntries += 1 }
      if compressor.isFull { try flush() }
    } else {
      try output.write(bytes)
      checksums.update(bytes)
      if isComplete { completeInPlace() }
    }
  }

  /// Writes what waits; all bytes but those of the header are then in the file.
  ///
  /// - Precondition: All entries were written.
  /// - Returns: The size of the file.
  /// - Throws: `FileError`.
  package func finish() throws(FileError) -> Int {
    try takeEmptyEntries()
    precondition(takenEntries == entryCount && missingByteCount == 0, "entries are missing")
    try flush()
    // Only a file without entries is not yet as long as its header.
    try output.pad(to: KilnPrelude.byteCount + layout.headerByteCount)
    return output.byteCount
  }

  /// Replaces what the header says about the calibration, if the room for it is large enough.
  package func describe(calibration: JSONValue) {
    let former = self.calibration
    self.calibration = calibration
    if header.encoded().count > layout.headerByteCount { self.calibration = former }
  }

  /// Says what rounding each tensor has cost, if the room for it is large enough.
  ///
  /// - Parameter errors: One for each tensor of the layout, nil for those that were not rounded.
  package func describe(errors: [KilnHeader.TensorErrors?]) {
    guard errors.count == layout.header.tensors.count else { return }
    self.errors = errors
    if header.encoded().count > layout.headerByteCount { self.errors = nil }
  }

  /// The header with what is known by now.
  private var header: KilnHeader {
    var header = layout.header
    header.calibration = calibration
    for (entry, extent) in extents.enumerated() {
      if entry < fileCount {
        header.files[entry].extent = extent
      } else {
        header.tensors[entry - fileCount].extent = extent
      }
    }
    if let errors {
      for (index, errors) in errors.enumerated() { header.tensors[index].errors = errors }
    }
    return header
  }

  /// Writes the header and gives the file its name.
  ///
  /// - Precondition: All entries were written.
  /// - Throws: `FileError`.
  package func commit() throws(FileError) {
    _ = try finish()
    let text = layout.encodedHeader(header)
    let prelude = KilnPrelude(
      features: features, headerByteCount: text.count, fileByteCount: output.byteCount,
      headerChecksum: Checksum.of(text))
    unsafe try output.write(prelude.encoded().span.bytes, at: 0)
    unsafe try output.write(text.span.bytes, at: KilnPrelude.byteCount)
    try output.commit()
  }

  /// Whether a tensor became smaller, of those that are complete.
  package var hasCompressedEntries: Bool {
    extents.dropFirst(fileCount).contains { $0.blockByteCounts != nil }
  }

  private var features: KilnPrelude.Features {
    var features: KilnPrelude.Features = []
    if hasCompressedEntries { features.insert(.compression) }
    if layout.header.shard != nil { features.insert(.shards) }
    return features
  }

  private func planned(_ entry: Int) -> KilnHeader.Extent {
    entry < fileCount
      ? layout.header.files[entry].extent : layout.header.tensors[entry - fileCount].extent
  }

  private func isCompressed(_ entry: Int) -> Bool { layout.isCompressed && entry >= fileCount }

  /// Finds the entry that the next bytes belong to.
  private func beginEntry() throws(FileError) {
    guard missingByteCount == 0 else { return }
    try takeEmptyEntries()
    precondition(takenEntries < entryCount, "more bytes than entries")
    let planned = self.planned(takenEntries)
    missingByteCount = planned.range.count
    if !isCompressed(takenEntries) { try output.pad(to: planned.range.lowerBound) }
  }

  private func takeEmptyEntries() throws(FileError) {
    while takenEntries < entryCount, planned(takenEntries).range.isEmpty {
      if let compressor, isCompressed(takenEntries) {
        compressor.addEmpty()
        takenEntries += 1
      } else {
        try output.pad(to: planned(takenEntries).range.lowerBound)
        completeInPlace()
      }
    }
  }

  /// Writes the blocks that wait to be compressed.
  private func flush() throws(FileError) {
    guard let compressor else { return }
    for block in compressor.takeBlocks() {
      if block.beginsEntry {
        // A shard without files begins with a compressed entry: the room for the header is in front of it.
        let end = max(output.byteCount, KilnPrelude.byteCount + layout.headerByteCount)
        try output.pad(to: KilnLayout.roundUp(end, KilnLayout.entryAlignment))
      }
      try output.write(block.stored)
      if let extent = compressor.record(block, end: output.byteCount) {
        extents.append(extent)
      }
    }
  }

  private func completeInPlace() {
    takenEntries += 1
    extents.append(
      KilnHeader.Extent(
        range: planned(completeEntries).range, checksums: checksums.finish()))
  }
}

// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Writes a packed file in one pass over its entries, in the order of the layout.
package final class KilnWriter {
  private let layout: KilnLayout
  private let output: OutputFile
  private let checksums = BlockChecksums(blockByteCount: KilnHeader.blockByteCount)
  private var header: KilnHeader
  /// Entries that are complete: files first, then tensors.
  private var completeEntries = 0

  /// Starts a file.
  ///
  /// - Throws: `FileError`.
  package init(_ layout: KilnLayout, to output: OutputFile) throws(FileError) {
    self.layout = layout
    self.output = output
    header = layout.header
    try output.pad(to: KilnPrelude.byteCount + layout.headerByteCount)
  }

  /// Writes the next bytes of the current entry, and moves on to the next entry when it is full.
  ///
  /// - Precondition: The bytes do not go beyond the entry.
  /// - Throws: `FileError`.
  package func write(_ bytes: RawSpan) throws(FileError) {
    guard bytes.byteCount > 0 else { return }
    try skipEmptyEntries()
    let extent = extent(of: completeEntries)
    precondition(
      output.byteCount <= extent.range.upperBound - bytes.byteCount, "beyond the end of the entry")
    try output.pad(to: extent.range.lowerBound)
    try output.write(bytes)
    checksums.update(bytes)
    if output.byteCount == extent.range.upperBound { completeEntry() }
  }

  /// Writes the header and gives the file its name.
  ///
  /// - Precondition: All entries are complete.
  /// - Throws: `FileError`.
  package func commit() throws(FileError) {
    try skipEmptyEntries()
    precondition(
      completeEntries == header.files.count + header.tensors.count, "entries are missing")
    try output.pad(to: layout.fileByteCount)
    let text = layout.encodedHeader(header)
    let prelude = KilnPrelude(
      headerByteCount: text.count, fileByteCount: layout.fileByteCount,
      headerChecksum: Checksum.of(text))
    unsafe try output.write(prelude.encoded().span.bytes, at: 0)
    unsafe try output.write(text.span.bytes, at: KilnPrelude.byteCount)
    try output.commit()
  }

  private func extent(of entry: Int) -> KilnHeader.Extent {
    entry < header.files.count
      ? header.files[entry].extent : header.tensors[entry - header.files.count].extent
  }

  private func skipEmptyEntries() throws(FileError) {
    let count = header.files.count + header.tensors.count
    while completeEntries < count, extent(of: completeEntries).range.isEmpty {
      try output.pad(to: extent(of: completeEntries).range.lowerBound)
      completeEntry()
    }
  }

  private func completeEntry() {
    let sums = checksums.finish()
    if completeEntries < header.files.count {
      header.files[completeEntries].extent.checksums = sums
    } else {
      header.tensors[completeEntries - header.files.count].extent.checksums = sums
    }
    completeEntries += 1
  }
}

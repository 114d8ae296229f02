// SPDX-License-Identifier: Apache-2.0

import Compression
public import SystemPackage
public import TensorCore

/// An open packed file: its header, checked, and its entries in place.
public struct KilnFile: Sendable {
  /// The mapped file.
  public let file: MappedFile
  /// What it holds.
  public let header: KilnHeader
  /// Where the data begins.
  public let dataOffset: Int

  /// Opens and checks a file; no tensor is read.
  ///
  /// - Throws: `FileError`, `KilnFormatError` or a JSON error.
  public init(_ path: FilePath) throws {
    try self.init(mapped: MappedFile(path))
  }

  /// Checks a file that is mapped already.
  ///
  /// - Throws: `KilnFormatError` or a JSON error.
  public init(mapped file: MappedFile) throws {
    let prelude = try KilnPrelude(file)
    self.file = file
    dataOffset = prelude.dataOffset
    header = try KilnHeader(file, prelude: prelude)
  }

  /// Whether a file begins as a packed file does.
  public static func recognizes(_ file: MappedFile) -> Bool {
    let magic = KilnPrelude.magic
    return file.byteCount >= magic.count && file.bytes.copy(0..<magic.count) == magic
  }

  /// The bytes of an entry.
  public func region(of extent: KilnHeader.Extent) -> MappedRegion {
    MappedRegion(file: file, range: extent.range)
  }

  /// Whether one block of an entry matches its checksum.
  ///
  /// - Precondition: The entry has that block.
  public func isIntact(_ extent: KilnHeader.Extent, block: Int) -> Bool {
    Checksum.of(file.bytes.extracting(extent.blocks[block])) == extent.checksums[block]
  }

  /// Ranges of bytes that belong to no entry and must be 0, the padding between entries.
  public var paddings: [Range<Int>] {
    let extents = header.files.map(\.extent.range) + header.tensors.map(\.extent.range)
    var end = dataOffset
    return extents.compactMap { range in
      defer { end = range.upperBound }
      return end < range.lowerBound ? end..<range.lowerBound : nil
    }
  }

  /// Whether the bytes of an entry match its checksums.
  public func isIntact(_ extent: KilnHeader.Extent) -> Bool {
    zip(extent.blocks, extent.checksums).allSatisfy { block, checksum in
      Checksum.of(file.bytes.extracting(block)) == checksum
    }
  }

  /// A tensor with its bytes: in place, or unpacked into memory if it is compressed.
  ///
  /// - Parameters:
  ///   - entry: One of the header's tensors.
  ///   - workers: Threads that unpack.
  /// - Returns: The tensor; unpacked memory lives as long as that.
  /// - Throws: `KilnFormatError.entry` for a block that is damaged, `FileError.system` if there is
  ///   no memory.
  package func load(
    _ entry: KilnHeader.TensorEntry, workers: Workers
  ) throws -> EncodedTensor {
    let region: MappedRegion
    if entry.extent.blockByteCounts == nil {
      region = self.region(of: entry.extent)
    } else {
      region = MappedRegion(memory: try unpack(entry, workers: workers))
      self.region(of: entry.extent).release()
    }
    // The header's own checks imply that this succeeds.
    guard let tensor = EncodedTensor(encoding: entry.encoding, shape: entry.shape, region: region)
    else {
      throw KilnFormatError.entry(file.path, name: entry.name.text, problem: "has a wrong size")
    }
    return tensor
  }

  /// The content of one block of a compressed tensor.
  ///
  /// - Throws: `CompressionError` if it is damaged.
  package func unpack(block: Int, of entry: KilnHeader.TensorEntry) throws -> [UInt8] {
    try unpack(file.bytes.extracting(entry.extent.blocks[block]), block: block, of: entry)
  }

  /// The content of one block of a compressed tensor, given its bytes in the file.
  ///
  /// - Throws: `CompressionError` if it is damaged.
  package func unpack(
    _ stored: RawSpan, block: Int, of entry: KilnHeader.TensorEntry
  ) throws -> [UInt8] {
    let start = block * KilnHeader.blockByteCount
    let byteCount = entry.encoding.byteCount(entry.shape) ?? 0
    var content = [UInt8](
      repeating: 0, count: max(0, min(KilnHeader.blockByteCount, byteCount - start)))
    var span = content.mutableSpan
    var bytes = unsafe span.mutableBytes
    try BlockCodec(of: entry.encoding).decompress(stored, into: &bytes)
    return content
  }

  private func unpack(
    _ entry: KilnHeader.TensorEntry, workers: Workers
  ) throws -> UnpackedMemory {
    let blocks = entry.extent.blocks
    let codec = BlockCodec(of: entry.encoding)
    do {
      return try UnpackedMemory(
        byteCount: entry.encoding.byteCount(entry.shape) ?? 0,
        pieceByteCount: KilnHeader.blockByteCount, workers: workers
      ) { block, bytes in
        try codec.decompress(file.bytes.extracting(blocks[block]), into: &bytes)
      }
    } catch let error as CompressionError {
      throw KilnFormatError.entry(
        file.path, name: entry.name.text, problem: "cannot be decompressed: \(error)")
    } catch let error as Errno {
      throw FileError.system(file.path, operation: "mmap", error)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

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
    let start = block * KilnHeader.blockByteCount
    let end = min(start + KilnHeader.blockByteCount, extent.range.count)
    return Checksum.of(region(of: extent).bytes.extracting(start..<end)) == extent.checksums[block]
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
    Checksum.ofBlocks(region(of: extent).bytes, blockByteCount: KilnHeader.blockByteCount)
      == extent.checksums
  }
}

// SPDX-License-Identifier: Apache-2.0

public import SystemPackage
public import TensorCore

/// An open packed file: its header, checked, and its entries in place.
public struct KilnFile: Sendable {
  /// The mapped file.
  public let file: MappedFile
  /// What it holds.
  public let header: KilnHeader

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

  /// Whether the bytes of an entry match its checksums.
  public func isIntact(_ extent: KilnHeader.Extent) -> Bool {
    Checksum.ofBlocks(region(of: extent).bytes, blockByteCount: KilnHeader.blockByteCount)
      == extent.checksums
  }
}

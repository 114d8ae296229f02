// SPDX-License-Identifier: Apache-2.0

public import SystemPackage
public import TensorCore

/// An open safetensors file: its header, checked, and its tensors in place.
public struct SafetensorsFile: Sendable {
  /// The mapped file.
  public let file: MappedFile
  /// What it holds.
  public let header: SafetensorsHeader
  /// Where the data begins in the file.
  public let dataOffset: Int

  /// Opens and checks a file; no tensor is read.
  ///
  /// - Throws: `FileError`, `SafetensorsError` or a JSON error.
  public init(_ path: FilePath) throws {
    try self.init(mapped: MappedFile(path))
  }

  /// Checks a file that is mapped already.
  ///
  /// - Throws: `SafetensorsError`, a JSON error, or `FileError.foreign` for what is something else.
  public init(mapped file: MappedFile) throws {
    guard file.byteCount >= 8 else {
      throw SafetensorsError.tooShort(file.path, byteCount: file.byteCount)
    }
    let declared = file.bytes.load(at: 0, as: UInt64.self)
    let limit = min(SafetensorsHeader.maximumByteCount, file.byteCount - 8)
    if file.byteCount < 9 || file.bytes.byte(at: 8) != UInt8(ascii: "{") || declared > limit {
      try ForeignContent.check(file.bytes, file.path, as: .tensors)
    }
    guard let length = Int(exactly: declared), length <= limit else {
      throw SafetensorsError.headerLength(file.path, declared: declared, limit: limit)
    }
    self.file = file
    dataOffset = 8 + length
    header = try SafetensorsHeader(
      parsing: file.bytes.copy(8..<dataOffset), dataByteCount: file.byteCount - dataOffset,
      path: file.path)
    // It is parsed: its pages need not stay.
    file.release(0..<dataOffset)
  }

  /// The stored bytes of a tensor.
  public func region(of entry: SafetensorsHeader.Entry) -> MappedRegion {
    MappedRegion(
      file: file,
      range: dataOffset + entry.range.lowerBound..<dataOffset + entry.range.upperBound)
  }
}

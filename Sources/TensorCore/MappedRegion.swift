// SPDX-License-Identifier: Apache-2.0

/// A range of mapped memory: the stored bytes of one tensor in its file, or what was unpacked from
/// there.
public struct MappedRegion: Sendable {
  private enum Backing {
    case file(MappedFile)
    case memory(UnpackedMemory)
  }

  private let backing: Backing
  /// Offsets in the file or the memory.
  public let range: Range<Int>

  /// A region of a file, which stays mapped as long as the region lives.
  ///
  /// - Precondition: The range lies inside the file. Readers have checked it before they come here.
  public init(file: MappedFile, range: Range<Int>) {
    self.init(.file(file), range: range, byteCount: file.byteCount)
  }

  /// All of some unpacked memory.
  public init(memory: UnpackedMemory) {
    self.init(.memory(memory), range: 0..<memory.byteCount, byteCount: memory.byteCount)
  }

  private init(_ backing: Backing, range: Range<Int>, byteCount: Int) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= byteCount, "region outside its memory")
    self.backing = backing
    self.range = range
  }

  /// Number of bytes.
  public var byteCount: Int { range.count }

  /// The file that holds the bytes; nil for what was unpacked.
  public var file: MappedFile? {
    if case .file(let file) = backing { file } else { nil }
  }

  /// The bytes, in place.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      switch backing {
      case .file(let file):
        unsafe _overrideLifetime(file.bytes.extracting(range), borrowing: self)
      case .memory(let memory):
        unsafe _overrideLifetime(memory.bytes.extracting(range), borrowing: self)
      }
    }
  }

  /// A part of this region, with offsets counted from its start.
  public func part(_ part: Range<Int>) -> MappedRegion {
    MappedRegion(
      backing, range: range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound,
      byteCount: range.upperBound)
  }

  /// Lets go of the pages of a file; see `MappedFile.release`.
  public func release() {
    file?.release(range)
  }
}

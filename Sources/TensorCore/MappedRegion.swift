// SPDX-License-Identifier: Apache-2.0

/// A range of a mapped file: the stored bytes of one tensor, or of a part of it.
public struct MappedRegion: Sendable {
  /// The file, kept mapped as long as the region lives.
  public let file: MappedFile
  /// Offsets in the file.
  public let range: Range<Int>

  /// A region of a file.
  ///
  /// - Precondition: The range lies inside the file. Readers have checked it before they come here.
  public init(file: MappedFile, range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= file.byteCount, "region outside its file")
    self.file = file
    self.range = range
  }

  /// Number of bytes.
  public var byteCount: Int { range.count }

  /// The bytes, in place.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = file.bytes.extracting(range)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// A part of this region, with offsets counted from its start.
  public func part(_ part: Range<Int>) -> MappedRegion {
    MappedRegion(
      file: file, range: range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound)
  }

  /// Lets go of the pages; see `MappedFile.release`.
  public func release() {
    file.release(range)
  }
}

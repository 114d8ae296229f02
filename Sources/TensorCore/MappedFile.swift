// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
public import SystemPackage

/// A regular file, mapped read-only for as long as the object lives.
///
/// Pages are read when they are touched: opening costs the same for a kilobyte and for a
/// terabyte. The mapping itself is the only unsafe thing; what leaves here is bounds-checked spans.
@safe
public final class MappedFile: Sendable {
  /// Where the file was opened.
  public let path: FilePath
  /// Its size in bytes when it was opened.
  public let byteCount: Int
  /// When its content was last changed, in nanoseconds since 1970, as the file system tells.
  public let modificationTime: Int
  /// Device and inode: two names of one file have the same.
  public let identity: FileIdentity

  private nonisolated(unsafe) let base: UnsafeRawPointer?
  /// Bytes let go of since all were.
  private let releasedByteCount = Atomic(0)
  private static let byteCountBetweenFullReleases = 1 << 25

  /// Maps a file.
  ///
  /// - Parameter path: A regular file, or a symbolic link to one.
  /// - Throws: `FileError` if it is missing, is not a regular file or cannot be mapped.
  public init(_ path: FilePath) throws(FileError) {
    // O_NONBLOCK: opening a FIFO that nobody writes to must fail in `fstat`, not wait for ever.
    let descriptor = unsafe open(path.cString, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let error = Errno.current
      if error == .noSuchFileOrDirectory || error == .notDirectory { throw .missing(path) }
      throw .system(path, operation: "open", error)
    }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .system(path, operation: "fstat", .current)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .notRegular(path, found: FileKind(mode: status.st_mode).description)
    }
    let size = Int(status.st_size)
    var base: UnsafeRawPointer?
    if size > 0 {
      let mapping = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0)
      guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
        throw .system(path, operation: "mmap", .current)
      }
      unsafe base = UnsafeRawPointer(mapping)
    }
    self.path = path
    byteCount = size
    modificationTime = status.st_mtim.tv_sec &* 1_000_000_000 &+ status.st_mtim.tv_nsec
    identity = FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    unsafe self.base = base
    if let base = unsafe base {
      let place = Place(path: path, start: UInt(bitPattern: base), byteCount: size)
      Self.places.withLock { $0[place.start] = place }
    }
  }

  deinit {
    if let base = unsafe base {
      let start = UInt(bitPattern: base)
      Self.places.withLock { $0[start] = nil }
      unsafe munmap(UnsafeMutableRawPointer(mutating: base), byteCount)
    }
  }

  /// The whole file.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      guard let base = unsafe base else { return RawSpan() }
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: byteCount)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  // MARK: - Files that change under us

  /// Where a file is mapped.
  struct Place {
    let path: FilePath
    let start: UInt
    let byteCount: Int

    /// What to say if reading from here failed: pages of a file that was cut are gone.
    var becameShorter: FileError {
      var status = stat()
      let size = unsafe stat(path.cString, &status) == 0 ? Int(status.st_size) : 0
      return .shrank(path, expected: byteCount, found: size)
    }
  }

  /// All mapped files, by address.
  private static let places = Mutex<[UInt: Place]>([:])

  /// Why reading at an address failed (SIGBUS); nil if no file is mapped there.
  public static func failure(readingAt address: UInt) -> FileError? {
    place(at: address)?.becameShorter
  }

  /// Checks that the file is as long as it was.
  ///
  /// What is cut off inside the last page reads as zeros, without any signal. For the end of a pass,
  /// before its result is used.
  ///
  /// - Throws: `FileError.shrank`.
  public func checkSize() throws(FileError) {
    var status = stat()
    guard unsafe stat(path.cString, &status) == 0,
      identity == FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)),
      Int(status.st_size) < byteCount
    else { return }
    throw .shrank(path, expected: byteCount, found: Int(status.st_size))
  }

  /// The mapped file that these bytes are in, if they are.
  static func holding(_ bytes: RawSpan) -> Place? {
    let address = unsafe bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    return place(at: address)
  }

  private static func place(at address: UInt) -> Place? {
    places.withLock { places in
      // A mapping ends with its last page, the file perhaps before.
      places.values.first { place in
        address >= place.start && address - place.start < UInt(place.byteCount) + 4096
      }
    }
  }

  /// Lets go of the pages in this range, so that a pass over a large file keeps no memory.
  ///
  /// They stay in the page cache and come back when they are touched again.
  public func release(_ range: Range<Int>) {
    guard let base = unsafe base, range.lowerBound >= 0, range.lowerBound < range.upperBound,
      range.upperBound <= byteCount
    else { return }
    let pageSize = 4096
    var start = range.lowerBound / pageSize * pageSize
    var end = range.upperBound
    // The kernel maps pages around the one that was touched, up to the two megabytes of a huge page, and
    // what is left of those adds up over thousands of tensors. So now and then everything is let go.
    let (_, released) = releasedByteCount.add(range.count, ordering: .relaxed)
    if released >= Self.byteCountBetweenFullReleases {
      releasedByteCount.store(0, ordering: .relaxed)
      (start, end) = (0, byteCount)
    }
    unsafe madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
  }
}

extension Errno {
  /// The error of the system call that just failed.
  static var current: Errno { Errno(rawValue: errno) }
}

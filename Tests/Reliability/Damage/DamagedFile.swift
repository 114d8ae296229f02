// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TensorCore

/// A copy of a file that is damaged in place and mended again, so that a large one need not be copied
/// for each damage.
@safe
final class DamagedFile: Sendable {
  /// Where the copy is.
  let path: FilePath
  /// The sound content.
  let original: [UInt8]
  private let descriptor: Int32

  /// Writes the copy.
  init(_ original: [UInt8], at path: FilePath) throws {
    self.path = path
    self.original = original
    try Files.write(original, to: path)
    descriptor = unsafe open(path.string, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
  }

  deinit {
    close(descriptor)
  }

  /// Calls `body` while the file is damaged.
  func with<Result>(_ damage: Damage, _ body: () throws -> Result) throws -> Result {
    let grows = damage.bytes.count - damage.range.count
    // What stood behind the damage moves with it, unless the damage has the same size.
    let tail = grows == 0 ? [] : original[damage.range.upperBound...]
    try write(damage.bytes[...], at: damage.range.lowerBound)
    try write(tail, at: damage.range.lowerBound + damage.bytes.count)
    try resize(original.count + grows)
    defer { try? mend(damage, grows: grows) }
    return try body()
  }

  private func mend(_ damage: Damage, grows: Int) throws {
    let end = grows == 0 ? damage.range.upperBound : original.count
    try write(original[damage.range.lowerBound..<end], at: damage.range.lowerBound)
    try resize(original.count)
  }

  private func write(_ bytes: ArraySlice<UInt8>, at offset: Int) throws {
    var done = 0
    while done < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { buffer in
        unsafe pwrite(
          descriptor, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done,
          off_t(offset + done))
      }
      guard written > 0 else { throw Errno(rawValue: errno) }
      done += written
    }
  }

  private func resize(_ byteCount: Int) throws {
    guard ftruncate(descriptor, off_t(byteCount)) == 0 else { throw Errno(rawValue: errno) }
  }
}

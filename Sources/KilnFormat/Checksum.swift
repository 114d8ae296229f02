// SPDX-License-Identifier: Apache-2.0

import CXXHash
import TensorCore

/// XXH3 with 64 bits and seed 0, the checksum of the packed format.
public enum Checksum {
  /// The version of the library that computes it, as 100 times 100 times major, and so on.
  package static var libraryVersion: Int { Int(XXH_versionNumber()) }

  /// The checksum of some bytes.
  public static func of(_ bytes: RawSpan) -> UInt64 {
    unsafe bytes.withUnsafeBytes { buffer in
      unsafe kiln_xxh3(buffer.baseAddress, buffer.count)
    }
  }

  /// The checksum of an array.
  public static func of(_ bytes: [UInt8]) -> UInt64 {
    unsafe of(bytes.span.bytes)
  }

  /// The checksum of a text in UTF-8.
  package static func of(_ text: String) -> UInt64 { of(Array(text.utf8)) }

  /// The checksums of consecutive blocks; the last block may be shorter.
  public static func ofBlocks(_ bytes: RawSpan, blockByteCount: Int) -> [UInt64] {
    stride(from: 0, to: bytes.byteCount, by: blockByteCount).map { start in
      of(bytes.extracting(start..<min(start + blockByteCount, bytes.byteCount)))
    }
  }

  /// 16 lower-case hexadecimal digits.
  package static func text(_ checksum: UInt64) -> String {
    let digits = String(checksum, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Reads what `text` writes.
  package static func parse(_ text: String) -> UInt64? {
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    let letters = UInt8(ascii: "a")...UInt8(ascii: "f")
    guard text.utf8.count == 16,
      text.utf8.allSatisfy({ digits.contains($0) || letters.contains($0) })
    else { return nil }
    return UInt64(text, radix: 16)
  }
}

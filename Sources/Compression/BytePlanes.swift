// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// The byte-plane shuffle: byte 0 of all elements, then byte 1 of all, and so on.
///
/// Signs and exponents of neighbouring weights are alike and compress well beside each other;
/// mantissas hardly compress at all (`Formats/Kiln.md`).
enum BytePlanes {
  /// Splits elements of `width` bytes into planes.
  ///
  /// Bytes behind the last whole element stay at the end.
  static func split(_ bytes: RawSpan, width: Int, into planes: inout MutableRawSpan) {
    let count = bytes.byteCount / width
    unsafe bytes.withUnsafeBytes { source in
      unsafe planes.withUnsafeMutableBytes { target in
        for plane in 0..<width {
          let first = plane * count
          for index in 0..<count {
            unsafe target[first + index] = source[index * width + plane]
          }
        }
        for index in count * width..<source.count { unsafe target[index] = source[index] }
      }
    }
  }

  /// Undoes `split`.
  static func join(_ planes: RawSpan, width: Int, into bytes: inout MutableRawSpan) {
    let count = planes.byteCount / width
    unsafe planes.withUnsafeBytes { source in
      unsafe bytes.withUnsafeMutableBytes { target in
        for plane in 0..<width {
          let first = plane * count
          for index in 0..<count {
            unsafe target[index * width + plane] = source[first + index]
          }
        }
        for index in count * width..<source.count { unsafe target[index] = source[index] }
      }
    }
  }
}

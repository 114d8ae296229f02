// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A string that equals another only if their UTF-8 bytes are the same.
///
/// Swift's `String` compares by canonical equivalence: two tensor names that spell `é` as one code
/// point and as two would be the same dictionary key, and one tensor would silently vanish.
/// Tensor names and JSON keys are therefore `ExactString`s.
public struct ExactString: Hashable, Comparable, Sendable {
  /// The text.
  public let text: String

  /// Wraps a string; its bytes stay as they are.
  public init(_ text: String) {
    self.text = text
  }

  /// Whether the UTF-8 bytes are the same.
  public static func == (left: ExactString, right: ExactString) -> Bool {
    unsafe left.withBytes { left in
      unsafe right.withBytes { right in
        guard left.count == right.count else { return false }
        guard let start = left.baseAddress, let other = right.baseAddress else { return true }
        return unsafe memcmp(start, other, left.count) == 0
      }
    }
  }

  /// Orders by UTF-8 bytes, which is also the order of Unicode code points.
  public static func < (left: ExactString, right: ExactString) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  /// Feeds the UTF-8 bytes to the hasher.
  public func hash(into hasher: inout Hasher) {
    unsafe withBytes { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    hasher.combine(0xFF as UInt8)
  }

  /// The UTF-8 bytes in place; headers with tens of thousands of names are compared by them.
  private func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    if let result = unsafe text.utf8.withContiguousStorageIfAvailable({ unsafe body($0) }) {
      return result
    }
    return unsafe Array(text.utf8).withUnsafeBufferPointer { unsafe body($0) }
  }
}

extension ExactString: ExpressibleByStringInterpolation, CustomStringConvertible {
  /// Makes a literal an exact string.
  public init(stringLiteral value: String) {
    self.init(value)
  }

  /// The text.
  public var description: String { text }
}

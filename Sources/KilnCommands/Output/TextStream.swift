// SPDX-License-Identifier: Apache-2.0

/// Turns bytes that come in pieces into text that is valid UTF-8 at any time.
///
/// A token may end in the middle of a character: what is incomplete is held back until the rest comes.
/// Bytes that are no UTF-8 become U+FFFD.
package struct TextStream {
  private var pending: [UInt8] = []

  /// Nothing yet.
  package init() {}

  /// Takes the next bytes.
  ///
  /// - Returns: What can be shown now.
  package mutating func append(_ bytes: [UInt8]) -> String {
    pending += bytes
    let held = Self.incompleteCount(pending)
    let text = String(decoding: pending.dropLast(held), as: UTF8.self)
    pending.removeFirst(pending.count - held)
    return text
  }

  /// What was held back, now that nothing follows.
  package mutating func finish() -> String {
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end begin a character whose end is missing.
  private static func incompleteCount(_ bytes: [UInt8]) -> Int {
    for count in 1...3 where count <= bytes.count {
      let byte = bytes[bytes.count - count]
      switch byte {
      case 0x80...0xBF: continue
      case 0xC2...0xDF: return count < 2 ? count : 0
      case 0xE0...0xEF: return count < 3 ? count : 0
      case 0xF0...0xF4: return count < 4 ? count : 0
      default: return 0
      }
    }
    return 0
  }
}

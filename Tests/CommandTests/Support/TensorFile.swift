// SPDX-License-Identifier: Apache-2.0

import Foundation
import KilnFormat
import Testing

/// A safetensors file taken apart, so that a test can put it together wrongly.
struct TensorFile {
  var header: [String: Any]
  var data: Data

  init(_ url: URL) throws {
    let bytes = try Data(contentsOf: url)
    let length = bytes.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    header = try #require(
      try JSONSerialization.jsonObject(with: bytes[8..<8 + length]) as? [String: Any])
    data = bytes.dropFirst(8 + length)
  }

  /// Adds a tensor behind the others.
  mutating func add(_ name: String, _ dtype: String, _ shape: [Int], _ bytes: [UInt8]) {
    header[name] = entry(dtype, shape, data.count..<data.count + bytes.count)
    data.append(contentsOf: bytes)
  }

  func entry(_ dtype: String, _ shape: [Int], _ range: Range<Int>) -> [String: Any] {
    ["dtype": dtype, "shape": shape, "data_offsets": [range.lowerBound, range.upperBound]]
  }

  /// Where a tensor is in the data.
  func range(_ name: String) throws -> Range<Int> {
    let entry = try #require(header[name] as? [String: Any])
    let offsets = try #require(entry["data_offsets"] as? [Int])
    return offsets[0]..<offsets[1]
  }

  /// Sets the first bytes of a tensor.
  mutating func poke(_ name: String, _ bytes: [UInt8]) throws {
    let start = data.startIndex + (try range(name).lowerBound)
    data.replaceSubrange(start..<start + bytes.count, with: bytes)
  }

  /// Writes the file.
  ///
  /// - Parameters:
  ///   - url: Where.
  ///   - padding: Spaces behind the header, which need not bring it to a multiple of anything.
  /// - Throws: What the file system says.
  func write(to url: URL, padding: Int = 0) throws {
    var text = try JSONSerialization.data(withJSONObject: header, options: .sortedKeys)
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: padding))
    try? FileManager.default.removeItem(at: url)
    try (littleEndian(text.count) + text + data).write(to: url)
  }
}

/// The header of a packed file, changed and sealed again, as somebody hostile would.
enum PackedFile {
  /// Replaces a text in the header by another, and makes all lengths and checksums right again.
  static func replaceInHeader(_ url: URL, _ old: String, with new: String) throws {
    let bytes = try Data(contentsOf: url)
    let length = bytes[24..<32].enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    var text = String(decoding: bytes[64..<64 + length], as: UTF8.self)
    let range = try #require(text.range(of: old))
    text.replaceSubrange(range, with: new)
    // The header keeps its size, so that offsets stay right: padding gives way.
    while text.utf8.count > length, text.hasSuffix(" ") { text.removeLast() }
    text += String(repeating: " ", count: max(0, length - text.utf8.count))
    try #require(text.utf8.count == length)
    var prelude = Array(bytes[0..<48])
    prelude += littleEndian(Checksum.of(Array(text.utf8)))
    prelude += littleEndian(Checksum.of(prelude))
    try? FileManager.default.removeItem(at: url)
    try (Data(prelude) + Data(text.utf8) + bytes[(64 + length)...]).write(to: url)
  }
}

/// Eight bytes, the lowest first.
func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

extension TensorFile {
  /// The bytes of a tensor.
  func bytes(_ name: String) throws -> Data {
    let range = try range(name)
    return data[data.startIndex + range.lowerBound..<data.startIndex + range.upperBound]
  }
}

// SPDX-License-Identifier: Apache-2.0

package import JSON
import KilnFormat
import TensorCore

/// A packed file made by hand or taken apart, to be sealed as somebody hostile would: with checksums
/// that match whatever the header says.
package struct RawPackedFile: Sendable {
  /// Bytes of a page, at whose multiples the data begins.
  package static let pageByteCount = 4096
  private static let preludeByteCount = 64

  /// The JSON text of the header, without its padding.
  package var header: [UInt8]
  /// Everything behind the header.
  package var data: [UInt8]
  /// Least bytes from the start of the file to the data.
  private var dataOffset = 0

  /// A sound file taken apart, with room behind its header: a longer one then moves no data.
  ///
  /// - Parameters:
  ///   - bytes: The file.
  ///   - room: Bytes of room, a multiple of the page size.
  /// - Throws: If its header is not JSON.
  package init(opening bytes: [UInt8], room: Int = 4 * pageByteCount) throws {
    let length = bytes.word(at: 24)
    let end = Self.preludeByteCount + length
    let root = try JSONValue(parsing: Array(bytes[64..<end]), file: "header")
    header = JSONWriter.compact(Self.moving(root, by: room))
    data = Array(bytes[end...])
    dataOffset = end + room
  }

  /// The header as a tree.
  package func tree() throws -> JSONValue {
    try JSONValue(parsing: header, file: "header")
  }

  /// The same file with another header.
  package func with(_ header: JSONValue) -> RawPackedFile {
    var file = self
    file.header = JSONWriter.compact(header)
    return file
  }

  /// The header with its padding.
  package var paddedHeader: [UInt8] {
    let end = max(dataOffset, Self.preludeByteCount + header.count)
    let length = (end + Self.pageByteCount - 1) / Self.pageByteCount * Self.pageByteCount
    return header
      + [UInt8](
        repeating: UInt8(ascii: " "), count: length - Self.preludeByteCount - header.count)
  }

  /// The whole file, all checksums right.
  package var sealed: [UInt8] { Self.seal(paddedHeader, data) }

  /// A whole file around any header, which is padded.
  package static func file(
    header: [UInt8], data: [UInt8], required: UInt32 = 0
  ) -> [UInt8] {
    let padding =
      (pageByteCount - (preludeByteCount + header.count) % pageByteCount) % pageByteCount
    return seal(header + [UInt8](repeating: UInt8(ascii: " "), count: padding), data, required)
  }

  private static func seal(
    _ header: [UInt8], _ data: [UInt8], _ required: UInt32 = 0
  ) -> [UInt8] {
    prelude(
      header: header, required: required,
      fileByteCount: preludeByteCount + header.count + data.count)
      + header + data
  }

  /// A prelude whose checksum is right, with fields that need not be.
  package static func prelude(
    header: [UInt8], version: UInt32 = 1, required: UInt32 = 0, optional: UInt32 = 0,
    reserved: UInt32 = 0, headerByteCount: UInt64? = nil, dataOffset: UInt64? = nil,
    fileByteCount: Int
  ) -> [UInt8] {
    let headerByteCount = headerByteCount ?? UInt64(header.count)
    var bytes: [UInt8] = [0x89, 0x4B, 0x49, 0x4C, 0x4E, 0x0D, 0x0A, 0x1A]
    for field in [version, required, optional, reserved] {
      bytes += field.littleEndianBytes
    }
    for field in [
      headerByteCount, dataOffset ?? 64 &+ headerByteCount, UInt64(fileByteCount),
      Checksum.of(header),
    ] {
      bytes += field.littleEndianBytes
    }
    return bytes + Checksum.of(bytes).littleEndianBytes
  }

  /// The tree with every offset increased.
  private static func moving(_ value: JSONValue, by room: Int) -> JSONValue {
    switch value {
    case .array(let elements): .array(elements.map { moving($0, by: room) })
    case .object(let members):
      .object(
        members.map { member in
          if member.key == "offset", case .integer(let offset) = member.value {
            return JSONMember(key: member.key, value: .integer(offset + room))
          }
          return JSONMember(key: member.key, value: moving(member.value, by: room))
        })
    default: value
    }
  }
}

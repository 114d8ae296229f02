// SPDX-License-Identifier: Apache-2.0

/// Safetensors files made by hand, right or wrong.
package enum RawSafetensors {
  /// A file: the length of the header, the header as given, the data.
  package static func file(header: [UInt8], data: [UInt8] = []) -> [UInt8] {
    UInt64(header.count).littleEndianBytes + header + data
  }

  /// A file whose data is so many bytes of 0, 1, 2, ….
  package static func file(header: String, dataByteCount: Int = 0) -> [UInt8] {
    file(
      header: Array(header.utf8), data: (0..<dataByteCount).map { UInt8(truncatingIfNeeded: $0) })
  }

  /// A file with U8 vectors of these names and lengths, one after the other.
  package static func file(bytesOf tensors: [(name: String, byteCount: Int)]) -> [UInt8] {
    var end = 0
    let members = tensors.map { tensor in
      let start = end
      end += tensor.byteCount
      return "\"\(tensor.name)\":" + entry("U8", [tensor.byteCount], start, end)
    }
    return file(header: "{\(members.joined(separator: ","))}", dataByteCount: end)
  }

  /// The JSON of one entry.
  package static func entry(_ dtype: String, _ shape: [Int], _ start: Int, _ end: Int) -> String {
    "{\"dtype\":\"\(dtype)\",\"shape\":[\(shape.map(String.init).joined(separator: ","))],"
      + "\"data_offsets\":[\(start),\(end)]}"
  }
}

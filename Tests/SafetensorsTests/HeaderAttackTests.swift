// SPDX-License-Identifier: Apache-2.0

import JSON
import Safetensors
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Files that must be refused; most mirror attacks that the reference implementation tests.
@Suite struct HeaderAttackTests {
  /// The error that a file gives; nil if it is accepted.
  private func refusal(_ bytes: [UInt8]) throws -> (any KilnError)? {
    try TemporaryFolder.with { folder in
      let path = try folder.write(bytes, as: "x.safetensors")
      do {
        _ = try SafetensorsFile(path)
        return nil
      } catch let error as any KilnError {
        #expect(error.category == .badData)
        #expect("\(error)".contains(path.string))
        return error
      }
    }
  }

  private func refusal(
    _ entries: String..., data: Int, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    let bytes = RawSafetensors.file(
      header: "{\(entries.joined(separator: ","))}", dataByteCount: data)
    let error = try refusal(bytes)
    #expect(error != nil, sourceLocation: sourceLocation)
    return error.map { "\($0)" } ?? ""
  }

  private func entry(_ name: String, _ shape: [Int], _ start: Int, _ end: Int) -> String {
    entry(name, "U8", shape, start, end)
  }

  private func entry(
    _ name: String, _ dtype: String, _ shape: [Int], _ start: Int, _ end: Int
  ) -> String {
    "\"\(name)\":" + RawSafetensors.entry(dtype, shape, start, end)
  }

  @Test(arguments: 0..<8)
  func `a file without room for the header's length is refused`(byteCount: Int) throws {
    let error = try refusal([UInt8](repeating: 0, count: byteCount))
    guard case SafetensorsError.tooShort(_, byteCount)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(arguments: [
    3, 1000, 99_999_999, 100_000_001, UInt64(Int.max) - 8, UInt64(Int.max), UInt64(Int.max) + 1,
    .max - 8, .max,
  ])
  func `a header that is longer than the file is refused`(length: UInt64) throws {
    let error = try refusal(length.littleEndianBytes + Array("{}".utf8))
    guard case SafetensorsError.headerLength(_, length, 2)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func `a header over the limit is refused although the file is as long`() throws {
    try TemporaryFolder.with { folder in
      // A hole of 100 MB: nothing of it may be read before it is refused.
      let path = try folder.write(
        UInt64(SafetensorsHeader.maximumByteCount + 1).littleEndianBytes, as: "x.safetensors")
      try folder.extend("x.safetensors", to: SafetensorsHeader.maximumByteCount + 1000)
      #expect(
        throws: SafetensorsError.headerLength(
          path, declared: 100_000_001, limit: 100_000_000)
      ) { try SafetensorsFile(path) }
    }
  }

  @Test(arguments: ["", " ", " {}", "\n{}", "[]", "\"a\"", "null", "\u{FEFF}{}", "\0{}"])
  func `a header that does not begin with a brace is refused`(header: String) throws {
    let error = try refusal(RawSafetensors.file(header: header))
    guard case SafetensorsError.header? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(arguments: ["{", "{}}", "{}{}", "{}x", "{}\0\0\0", "{\"a\"}", "{'a':1}", "{\"a\":NaN}"])
  func `a header that is not JSON is refused`(header: String) throws {
    #expect(try refusal(RawSafetensors.file(header: header)) is JSONError)
  }

  @Test func `a header that is not UTF-8 is refused`() throws {
    let header = Array("{\"\u{E9}\":1}".utf8).filter { $0 != 0xA9 }
    #expect(try refusal(RawSafetensors.file(header: header)) is JSONError)
    let utf16 = Array("{}".utf16).flatMap { $0.littleEndianBytes }
    #expect(try refusal(RawSafetensors.file(header: utf16)) is JSONError)
  }

  @Test(arguments: [
    "[]", "1", "\"U8\"", "null", "{}", #"{"dtype":"U8"}"#, #"{"dtype":"U8","shape":[1]}"#,
    #"{"shape":[1],"data_offsets":[0,1]}"#, #"{"dtype":"U8","data_offsets":[0,1]}"#,
    #"{"dtype":8,"shape":[1],"data_offsets":[0,1]}"#,
    #"{"dtype":null,"shape":[1],"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":1,"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":null,"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":[true],"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":[1],"data_offsets":[0]}"#,
    #"{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}"#,
    #"{"dtype":"U8","shape":[1],"data_offsets":[]}"#,
    #"{"dtype":"U8","shape":[1],"data_offsets":{"0":0}}"#,
    #"{"dtype":"U8","shape":[1],"data_offsets":[0.0,1.0]}"#,
    #"{"dtype":"U8","shape":[1],"data_offsets":["0","1"]}"#,
    #"{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551616]}"#,
    #"{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}"#,
    #"{"dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,1]}"#,
  ])
  func `an entry of the wrong form is refused`(entry: String) throws {
    #expect(try refusal(RawSafetensors.file(header: "{\"a\":\(entry)}", dataByteCount: 1)) != nil)
  }

  @Test(arguments: ["u8", "U7", "FLOAT", "", "BF16 ", "\u{42}F1\u{FF16}"])
  func `an unknown element type is refused by name`(dtype: String) throws {
    #expect(try refusal(entry("a", dtype, [1], 0, 1), data: 1).contains("\"a\": unknown dtype"))
  }

  @Test func `offsets must be what type and shape imply`() throws {
    #expect(try refusal(entry("a", [2], 0, 1), data: 1).contains("takes 2 bytes"))
    #expect(try refusal(entry("a", "F32", [2], 0, 4), data: 4).contains("takes 8 bytes"))
    #expect(try refusal(entry("a", "F32", [], 0, 8), data: 8).contains("takes 4 bytes"))
    #expect(try refusal(entry("a", [0], 0, 1), data: 1).contains("takes 0 bytes"))
    // Half a byte is none.
    #expect(try refusal(entry("a", "F4", [3], 0, 1), data: 1).contains("whole number of bytes"))
    #expect(try refusal(entry("a", "F6_E2M3", [3], 0, 3), data: 3).contains("whole number"))
  }

  @Test func `a file that was cut is told with both sizes`() throws {
    let whole = RawSafetensors.file(bytesOf: [("a", 40), ("b", 60)])
    for missing in [1, 60, 99, 100] {
      let error = try refusal(Array(whole.dropLast(missing)))
      guard case SafetensorsError.truncated(_, whole.count - missing, whole.count)? = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    // Cut within the header.
    #expect("\(try refusal(Array(whole.prefix(40))).map { "\($0)" } ?? "")".contains("truncated"))
  }

  @Test func `offsets outside the data and backwards are refused`() throws {
    for (start, end) in [(0, 9), (8, 9), (5, 4), (-1, 3), (-4, 0), (9, 9), (Int.max, Int.max)] {
      #expect(try refusal(entry("a", [4], start, end), data: 8).contains("not inside the 8 bytes"))
    }
    #expect(try refusal(entry("a", [1], Int.min, Int.max), data: 8).contains("not inside"))
  }

  @Test(arguments: [
    [Int.max, 2], [1 << 32, 1 << 32], [1 << 62, 4], [Int.max, Int.max, 2], [-1], [-1, -1],
    [Int.min, 1], [0, 1 << 40, 1 << 40], [1 << 40, 1 << 40, 0],
  ])
  func `shapes whose product overflows or that are negative are refused`(shape: [Int]) throws {
    #expect(try refusal(entry("a", shape, 0, 0), data: 0).contains("negative or too large"))
  }

  @Test func `sizes in bytes that overflow are refused`() throws {
    #expect(try refusal(entry("a", "F64", [1 << 61], 0, 0), data: 0).contains("\"a\""))
    #expect(try refusal(entry("a", "F32", [Int.max], 0, 0), data: 0).contains("\"a\""))
    #expect(try refusal(entry("a", "F4", [Int.max - 1], 0, 0), data: 0).contains("\"a\""))
  }

  @Test func `gaps, overlaps and bytes of no tensor are refused`() throws {
    let two = entry("b", [4], 4, 8)
    #expect(try refusal(entry("a", [3], 0, 3), two, data: 8).contains("\"b\": leaves a gap"))
    #expect(try refusal(entry("a", [5], 0, 5), two, data: 8).contains("\"b\": overlaps"))
    #expect(try refusal(entry("a", [4], 4, 8), two, data: 8).contains("leaves a gap"))
    #expect(try refusal(entry("a", [8], 0, 8), two, data: 8).contains("\"b\": overlaps"))
    #expect(try refusal(entry("a", [8], 0, 8), entry("e", [0], 3, 3), data: 8).contains("overlaps"))
    #expect(try refusal(entry("a", [4], 0, 4), two, data: 9).contains("end at byte 8"))
    #expect(try refusal(data: 1).contains("end at byte 0"))
    // The same bytes twice, which the reference refuses too.
    #expect(try refusal(entry("a", [4], 0, 4), entry("b", [4], 0, 4), data: 4).contains("overlaps"))
  }

  @Test func `a name that stands twice is refused, however it is written`() throws {
    let first = entry("a", [4], 0, 4)
    let error = try refusal(first, entry("a", [4], 4, 8), data: 8)
    #expect(error.contains("\"a\" is given twice"))
    _ = try refusal(first, first, data: 4)
    _ = try refusal(first, entry("\\u0061", [4], 4, 8), data: 8)
    _ = try refusal(#""__metadata__":{}"#, first, #""__metadata__":{}"#, data: 4)
  }

  @Test(arguments: ["[]", "1", "\"x\"", #"{"a":1}"#, #"{"a":null}"#, #"{"a":{"b":"c"}}"#])
  func `metadata that is not strings is refused`(metadata: String) throws {
    #expect(try refusal(RawSafetensors.file(header: "{\"__metadata__\":\(metadata)}")) is JSONError)
  }

  @Test func `nesting is bounded in keys that nobody reads`() throws {
    func header(_ depth: Int) -> String {
      let nested =
        String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
      return #"{"a":{"x":\#(nested),"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
    }
    #expect(try refusal(RawSafetensors.file(header: header(126), dataByteCount: 1)) == nil)
    #expect(
      try refusal(RawSafetensors.file(header: header(127), dataByteCount: 1)) is JSONError)
  }
}

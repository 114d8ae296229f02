// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// Entries of a safetensors header that lie: about types, sizes and places.
enum EntryAttacks {
  static var cases: [MalformedCase] {
    forms + shapes + offsets + coverage + names
  }

  private static let end = HeaderAttacks.sound.data.count

  /// One entry more, behind the sound ones.
  private static func entry(
    _ name: String, _ text: String, data: [UInt8] = []
  ) -> MalformedCase {
    HeaderAttacks.member("entry: " + name, "\"x\":\(text)", data: data)
  }

  private static var forms: [MalformedCase] {
    let whole = [
      "[]", "1", "\"U8\"", "null", "true", "{}", #"{"dtype":"U8"}"#, #"{"dtype":"U8","shape":[1]}"#,
      #"{"shape":[0],"data_offsets":[0,0]}"#, #"{"dtype":"U8","data_offsets":[0,0]}"#,
    ]
    let dtypes = [
      "8", "null", "[]", "{}", "true", "\"\"", "\"u8\"", "\"BF16 \"", "\"FLOAT\"", "\"I4\"",
      "\"B\u{FF26}16\"", "\"U8\\u0000\"",
    ].map { "{\"dtype\":\($0),\"shape\":[0],\"data_offsets\":[0,0]}" }
    let shapes = [
      "0", "null", "\"0\"", "{}", "[\"0\"]", "[0.0]", "[0e0]", "[-0.0]", "[null]", "[true]",
      "[[0]]",
      "[1e400]", "[18446744073709551615]", "[9223372036854775808]",
      "[" + String(repeating: "9", count: 5000) + "]", "[1e-400]",
    ].map { "{\"dtype\":\"U8\",\"shape\":\($0),\"data_offsets\":[0,0]}" }
    let offsets = [
      "0", "null", "{}", "[]", "[0]", "[0,0,0]", "[\"0\",\"0\"]", "[0.0,0.0]", "[null,0]",
      "[[0],0]",
      "{\"0\":0,\"1\":0}", "[0,18446744073709551616]", "[1e400,1e400]", "[-1,-1]",
    ].map { "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":\($0)}" }
    return (whole + dtypes + shapes + offsets).map { entry(String($0.prefix(80)), $0) }
  }

  private static var shapes: [MalformedCase] {
    let overflowing: [(String, [Int])] = [
      ("U8", [Int.max, 2]), ("U8", [1 << 32, 1 << 32]), ("U8", [1 << 62, 4]), ("U8", [-1]),
      ("U8", [Int.max, Int.max, Int.max]), ("U8", [Int.min]), ("U8", [-1, -1]), ("U8", [-2, 0]),
      ("BF16", [1 << 62]), ("BF16", [Int.max]), ("F32", [1 << 61, 2]), ("F64", [1 << 60]),
      ("F64", [1 << 61]), ("C64", [1 << 60]), ("F4", [Int.max - 1]), ("F6_E2M3", [Int.max]),
      ("I64", [3_037_000_500, 3_037_000_500]), ("BOOL", [Int.max, Int.max]),
      ("U8", [4_294_967_297, 4_294_967_297]), ("BF16", [9_223_372_036_854_775_807, 0, 2]),
      ("F32", [0, 1 << 40, 1 << 40]), ("U8", [1 << 62, 2, 0]),
    ]
    return overflowing.map { dtype, shape in
      entry("\(dtype) \(shape)", RawSafetensors.entry(dtype, shape, 0, 0))
    }
      + [
        // Sizes that wrap to what the offsets span.
        entry("wraps to 0", RawSafetensors.entry("U8", [1 << 32, 1 << 32], 0, 0)),
        entry(
          "wraps to 8", RawSafetensors.entry("F64", [(1 << 61) + 1], end, end + 8),
          data: Array(0..<8)),
        entry("half a byte", RawSafetensors.entry("F4", [3], end, end + 1), data: [0]),
        entry("six bits", RawSafetensors.entry("F6_E3M2", [3], end, end + 2), data: [0, 0]),
        entry(
          "a million dimensions",
          "{\"dtype\":\"U8\",\"shape\":[\(Array(repeating: "2", count: 1_000_000).joined(separator: ","))],\"data_offsets\":[0,0]}"
        ),
      ]
  }

  private static var offsets: [MalformedCase] {
    let wrong: [(Int, Int)] = [
      (0, 9), (end, end + 9), (end + 4, end), (-8, 0), (-1, 7), (end + 8, end + 16),
      (Int.max - 8, Int.max), (Int.min, Int.min + 8), (Int.min, Int.max), (0, Int.max), (8, 0),
      (end, end + 7), (end + 1, end + 9), (1 << 32, (1 << 32) + 8),
    ]
    return wrong.map { start, stop in
      entry(
        "offsets \(start) \(stop)", RawSafetensors.entry("F64", [1], start, stop),
        data: Array(0..<8))
    }
      + [
        entry("empty, beyond the end", RawSafetensors.entry("U8", [0], end + 9, end + 9)),
        entry("empty, backwards", RawSafetensors.entry("U8", [0], 8, 0)),
        entry("empty, inside another tensor", RawSafetensors.entry("U8", [0], 3, 3)),
      ]
  }

  private static var coverage: [MalformedCase] {
    [
      entry("overlaps the first tensor", RawSafetensors.entry("U8", [8], 0, 8)),
      entry("overlaps the last tensor", RawSafetensors.entry("U8", [8], end - 8, end)),
      entry(
        "overlaps by a byte", RawSafetensors.entry("U8", [8], end - 1, end + 7), data: Array(0..<7)),
      entry("covers everything", RawSafetensors.entry("U8", [end], 0, end)),
      entry("leaves a gap", RawSafetensors.entry("U8", [7], end + 1, end + 8), data: Array(0..<8)),
      entry(
        "leaves a byte at the end", RawSafetensors.entry("U8", [7], end, end + 7),
        data: Array(0..<8)),
      HeaderAttacks.header("a header without tensors before data", "{}"),
      HeaderAttacks.header("only metadata before data", #"{"__metadata__":{"a":"b"}}"#),
    ]
      + ["[]", "1", "\"x\"", #"{"a":1}"#, #"{"a":null}"#, #"{"a":{"b":"c"}}"#, "true"].map { text in
        let rest = HeaderAttacks.sound.members.drop { $0 != "}" }.dropFirst()
        return HeaderAttacks.header("metadata \(text)", "{\"__metadata__\":\(text)\(rest)}")
      }
  }

  /// Names that must not reach a terminal or fill a screen; the entry is wrong, so they are quoted.
  private static var names: [MalformedCase] {
    let names = [
      "\\u001b[2J\\u001b[31m", "\\u009b31m", "a\\r\\nkiln: all is well", "\\u0007\\u0008\\u007f",
      "\\u202e\\u2066", "\\u0000", "\\ufeff", "\\ue000", "\\u2028\\u2029", "../../etc/passwd",
      String(repeating: "A", count: 100_000), String(repeating: "\u{1F600}", count: 5000),
      String(repeating: "\\u001b", count: 5000), "%s%n%d", "\\\"\\\\",
    ]
    return names.map { name in
      HeaderAttacks.member(
        "the name \(name.prefix(40))", "\"\(name)\":\(RawSafetensors.entry("F64", [1], 0, 9))")
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// Safetensors headers that are not the JSON that they must be.
enum HeaderAttacks {
  static var cases: [MalformedCase] {
    texts + bytes + twice
  }

  /// The sound members of the header, and the data that they describe.
  static let sound: (members: String, data: [UInt8]) = {
    let file = TinyTensor.file(Models.tiny.tensors)
    let length = file.word(at: 0)
    let header = String(decoding: file[8..<8 + length], as: UTF8.self)
    return (String(header.dropFirst().dropLast()), Array(file[(8 + length)...]))
  }()

  /// A checkpoint whose header is this text, with some data behind that of the sound tensors.
  static func header(
    _ name: String, _ text: String, promises: [String] = [], data: [UInt8] = []
  ) -> MalformedCase {
    header(name, Array(text.utf8), promises: promises, data: data)
  }

  static func header(
    _ name: String, _ bytes: [UInt8], promises: [String] = [], data: [UInt8] = []
  ) -> MalformedCase {
    .folder(
      "header: " + name, replacing: "model.safetensors",
      with: RawSafetensors.file(header: bytes, data: sound.data + data), refusedBy: Subject.all,
      promises: promises)
  }

  /// A checkpoint whose header has one more member before the sound ones.
  static func member(
    _ name: String, _ text: String, promises: [String] = [], data: [UInt8] = []
  ) -> MalformedCase {
    header(
      name, "{\(text),\(sound.members)}", promises: promises, data: data)
  }

  private static var texts: [MalformedCase] {
    let members = sound.members
    let whole: [(String, String)] = [
      ("no text", ""), ("an array", "[]"), ("a number", "1"), ("a string", "\"{}\""),
      ("null", "null"), ("a space before it", " {\(members)}"), ("cut", "{\(members)"),
      ("two objects", "{\(members)}{}"), ("a NUL behind it", "{\(members)}\0"),
      ("a word behind it", "{\(members)}x"), ("a comma at the end", "{\(members),}"),
      ("a comma at the start", "{,\(members)}"), ("a comment", "{/* */\(members)}"),
      ("a line comment", "{\(members)} // end"), ("no object", "{}"),
      ("single quotes", "{'x':1,\(members)}"), ("a bare key", "{x:1,\(members)}"),
      ("no colon", "{\"x\" 1,\(members)}"),
    ]
    let values: [(String, String)] = [
      "NaN", "-NaN", "Infinity", "-Infinity", "nan", "01", "+1", ".5", "1.", "0x10", "1e", "--1",
      "tru", "True", "undefined", "\"\t\"", "\"\u{1}\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
      "\"\\udc00\\ud800\"", "\"unclosed", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{1:2}", "]",
    ].map { ("\($0.debugDescription) in a key that nobody reads", $0) }
    let entry = RawSafetensors.entry("U8", [0], 0, 0).dropLast()
    let nested = [129, 1000, 100_000].map { depth in
      let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
      return ("nested \(depth) deep", text)
    }
    return whole.map { header($0.0, $0.1) }
      + (values + nested).map { member($0.0, "\"x\":\(entry),\"note\":\($0.1)}") }
  }

  private static var bytes: [MalformedCase] {
    let text = Array("{\(sound.members)}".utf8)
    let units = Array("{\(sound.members)}".utf16)
    let whole: [(String, [UInt8])] = [
      ("a byte-order mark", [0xEF, 0xBB, 0xBF] + text),
      ("UTF-16, little-endian", units.flatMap(\.littleEndianBytes)),
      ("UTF-16 with a mark", [0xFF, 0xFE] + units.flatMap(\.littleEndianBytes)),
      ("UTF-16, big-endian", units.flatMap { $0.byteSwapped.littleEndianBytes }),
      ("UTF-32", text.flatMap { UInt32($0).littleEndianBytes }),
      ("zeros", [UInt8](repeating: 0, count: text.count)),
    ]
    let names: [(String, [UInt8])] = [
      ("a lone continuation", [0x80]), ("a cut sequence", [0xC3]), ("overlong /", [0xC0, 0xAF]),
      ("overlong NUL", [0xE0, 0x80, 0x80]), ("a surrogate", [0xED, 0xA0, 0x80]),
      ("beyond Unicode", [0xF4, 0x90, 0x80, 0x80]), ("Latin 1", [0xE9]), ("FF", [0xFF]),
      ("five bytes", [0xF8, 0x88, 0x80, 0x80, 0x80]), ("a bare NUL", [0]), ("a bare newline", [10]),
      ("an escape sequence", [0x1B, 0x5B, 0x32, 0x4A]),
    ]
    let entry = Array(":\(RawSafetensors.entry("U8", [0], 0, 0)),".utf8)
    return whole.map { header($0.0, $0.1) }
      + names.map { name, bytes in
        header("\(name) in a name", [0x7B, 0x22] + bytes + [0x22] + entry + text.dropFirst())
      }
  }

  /// R4: what the reference implementation takes, although its own page forbids it.
  private static var twice: [MalformedCase] {
    func entry(_ start: Int) -> String { RawSafetensors.entry("U8", [1], start, start + 1) }
    let end = sound.data.count
    let pairs: [(String, String, String)] = [
      ("as it is", "a", "a"), ("escaped", "a", "\\u0061"), ("both escaped", "\\u0061", "\\u0061"),
      ("an escaped slash", "a/b", "a\\/b"),
      ("escaped, hexadecimal in both cases", "\\u00e9", "\\u00E9"),
      ("é and its escape", "\u{E9}", "\\u00e9"), ("e and its accent", "e\u{301}", "e\\u0301"),
      ("a surrogate pair", "\u{1F600}", "\\ud83d\\ude00"), ("an empty name", "", ""),
      ("a newline", "\\n", "\\u000a"),
    ]
    let names = pairs.map { name, first, second in
      header(
        "a name twice: \(name)",
        "{\(sound.members),\"\(first)\":\(entry(end)),\"\(second)\":\(entry(end + 1))}",
        promises: ["R4"], data: [1, 2])
    }
    let inside: [(String, String)] = [
      ("dtype", #""x":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}"#),
      ("shape", #""x":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}"#),
      (
        "an escaped shape", #""x":{"dtype":"U8","shape":[0],"sh\u0061pe":[0],"data_offsets":[0,0]}"#
      ),
      (
        "data_offsets", #""x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"data_offsets":[0,0]}"#
      ),
      (
        "a key that nobody reads",
        #""x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"y":1,"y":1}"#
      ),
      ("a key below it", #""x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"y":{"z":1,"z":1}}"#),
      ("__metadata__", #""__metadata__":{}"#),
    ]
    return names + inside.map { member("given twice: \($0.0)", $0.1, promises: ["R4"]) }
      + [
        header(
          "a key of __metadata__ twice",
          sound.members.hasPrefix("\"__metadata__\":{")
            ? "{\"__metadata__\":{\"format\":\"pt\"," + sound.members.dropFirst(16) + "}" : "",
          promises: ["R4"])
      ]
  }
}

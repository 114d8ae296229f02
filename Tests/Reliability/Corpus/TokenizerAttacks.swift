// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// `tiktoken.model` and `tokenizer_config.json` that are wrong.
enum TokenizerAttacks {
  static var cases: [MalformedCase] {
    lines + files + mismatches + names
  }

  private static let file = "tiktoken.model"

  private static func whole(_ name: String, _ bytes: [UInt8]) -> MalformedCase {
    .folder(
      "tokenizer: " + name, replacing: file, with: bytes, refusedBy: Subject.ofTokenizer)
  }

  private static func whole(_ name: String, _ lines: [String], end: String = "\n") -> MalformedCase
  {
    whole(name, Array((lines.joined(separator: end) + end).utf8))
  }

  /// One line replaced: that of the letter A.
  private static var lines: [MalformedCase] {
    [
      "QQ==", "QQ==\t65", " 65", "65", "QQ= 65", "QQ 65", "Q=== 65", "==== 65", "QQ==QQ== 65",
      "Q_== 65", "Q\u{E9}=A 65", "QR== 65", "QUF= 65", "QQ== ", "QQ== x", "QQ== -1", "QQ== 6 5",
      "QQ==  65", "QQ== 65 ", "QQ== 6.5", "QQ== 6e1", "QQ== 0x41", "QQ== +65", "QQ== 16777216",
      "QQ== 2147483648", "QQ== 4294967361", "QQ== 9223372036854775808",
      "QQ== 18446744073709551681", "QQ== \(String(repeating: "9", count: 9999))", "QQ== 64",
      "QQ== 66", "QQ== 259", "QQ== 260", "QQ== 16777215", "Qg== 65", "YWI= 65", "QQ== \u{1B}[2J",
      "\u{1B}[2J 65", "QQ== \u{0}65", "QQ== \u{664}", "QQ==\u{A0}65", "{\"A\": 65}",
    ].map { line in
      var lines = Models.vocabulary
      lines[65] = line
      return whole("the line \(line.prefix(30).debugDescription)", lines)
    }
  }

  /// More ids than the model has rows: nothing that a conversion needs, which only warns.
  private static var mismatches: [MalformedCase] {
    let tokens = ["YWFh", "YmJi", "Y2Nj", "ZGRk", "ZWVl"]
    let lines = Models.vocabulary + tokens.indices.map { "\(tokens[$0]) \(260 + $0)" }
    return [
      .folder(
        "tokenizer: more ids than the model has rows", replacing: file,
        with: Array((lines.joined(separator: "\n") + "\n").utf8),
        refusedBy: Subject.ofTokenizer.subtracting([.convert, .quantize]))
    ]
  }

  private static var files: [MalformedCase] {
    let sound = Models.vocabulary
    let text = Array((sound.joined(separator: "\n") + "\n").utf8)
    return [
      whole("empty", []), whole("a newline", [10]),
      whole("zeros", [UInt8](repeating: 0, count: 999)),
      whole("a line missing", Array(sound[..<100] + sound[101...])),
      whole("a line twice", sound + [sound[5]]),
      whole("a line twice, another rank", sound + ["QQ== 260"]),
      whole("the first line missing", Array(sound.dropFirst())),
      whole("only the longer tokens", ["a2k= 0", "bG4= 1"]),
      whole("CR alone", sound, end: "\r"), whole("lines joined", sound, end: " "),
      whole("a mark", [0xEF, 0xBB, 0xBF] + text), whole("cut", Array(text.dropLast(3))),
      whole("UTF-16", String(decoding: text, as: UTF8.self).utf16.flatMap(\.littleEndianBytes)),
      whole("a header line", ["#version: 0.2"] + sound),
      whole("JSON", Array("{\"model\":{\"vocab\":{}}}".utf8)),
      whole("16 MiB and a byte", text + [UInt8](repeating: 10, count: 1 << 24)),
      whole(
        "a million lines of one token", Array(repeating: "QQ== 65", count: 1_000_000)),
      whole("a token of 10 MB", sound + [String(repeating: "QUFB", count: 3_000_000) + "= 260"]),
    ]
  }

  /// `tokenizer_config.json`.
  private static var names: [MalformedCase] {
    func decoder(_ text: String) -> String { "{\"added_tokens_decoder\": \(text)}" }
    let entry = "{\"content\": \"x\"}"
    let texts = [
      "", "[]", "null", "1", "{", "{\"a\":1,}", "\u{FEFF}{}", decoder("[]"), decoder("1"),
      decoder("\"x\""), decoder("{\"260\": 1}"), decoder("{\"260\": []}"), decoder("{\"260\": {}}"),
      decoder("{\"260\": {\"content\": 1}}"), decoder("{\"260\": {\"content\": null}}"),
      decoder("{\"260\": {\"content\": \"\"}}"), decoder("{\"-1\": \(entry)}"),
      decoder("{\"16777999\": \(entry)}"), decoder("{\"0260\": \(entry)}"),
      decoder("{\"x\": \(entry)}"),
      decoder("{\"+260\": \(entry)}"), decoder("{\" 260\": \(entry)}"), decoder("{\"\": \(entry)}"),
      decoder("{\"260.0\": \(entry)}"), decoder("{\"9223372036854775808\": \(entry)}"),
      decoder("{\"65\": \(entry)}"), decoder("{\"260\": \(entry), \"261\": \(entry)}"),
      decoder("{\"260\": {\"content\": \"\\ud800\"}}"),
      decoder("{\"260\": {\"content\": \"<|reserved_token_261|>\"}}"),
      decoder("{\"\u{661}\": \(entry)}"),
      "{\"x\":" + String(repeating: "[", count: 200) + String(repeating: "]", count: 200) + "}",
      "{\"model_max_length\": 1e}",
    ]
    let twice = [
      decoder("{\"260\": \(entry), \"260\": \(entry)}"),
      decoder("{\"260\": \(entry), \"26\\u0030\": \(entry)}"),
      "{\"added_tokens_decoder\": {}, \"added_tokens_decoder\": {}}",
      decoder("{\"260\": {\"content\": \"x\", \"content\": \"y\"}}"),
    ]
    func make(_ text: String, _ promises: [String]) -> MalformedCase {
      .folder(
        "names: \(text.prefix(60))", replacing: "tokenizer_config.json", with: Array(text.utf8),
        refusedBy: Subject.ofTokenizer, promises: promises)
    }
    return texts.map { make($0, []) } + twice.map { make($0, ["R4"]) }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import SystemPackage
import TensorCore
import TestSupport

/// R2: inputs that are unusual but right; refusing one counts like a crash.
enum OddInputs {
  static let experiment = Experiment(promises: ["R2"], name: "odd inputs", run: run)

  /// An odd way to write the small checkpoint.
  struct Oddity: Sendable {
    let name: String
    var model = "model"
    /// The name of the folder that all of it happens in.
    var place = "plain"
    /// Whether it is the same model as the small checkpoint, and must be as good.
    var isSameModel = true
    let write: @Sendable (TemporaryFolder) throws -> Void
  }

  private static func run(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger("R2", "odd inputs through six commands and back, same perplexity")
    let expected = try meanLoss(session.models.folder.string, session, in: session.folder.path)
    let all = headers + orders + extras + texts + places + packed(session) + variants
    try session.forEach(all.count, "odd") { lane, index in
      let odd = all[index]
      let folder = TemporaryFolder(at: lane.appending(odd.place))
      try FileManager.default.createDirectory(
        atPath: folder.path.string, withIntermediateDirectories: true)
      try odd.write(folder)
      try folder.write(Models.text, as: "text.txt")
      let problem = try self.problem(odd, expected: expected, session, in: folder.path)
      ledger.record(problem, odd.name)
      try? Files.setMode(0o755, of: folder.path.appending("model"))
      try Files.empty(lane)
    }
    return [ledger]
  }

  private static func meanLoss(
    _ model: String, _ session: Session, in folder: FilePath
  ) throws -> JSONValue? {
    let outcome = try session.run(
      ["perplexity", model, "--text", "-", "--json"], in: folder, input: Models.text)
    guard outcome.status == 0 else { return nil }
    return try JSONValue(parsing: outcome.outputBytes, file: "perplexity")["mean_nll"]
  }

  /// Why one is not treated like the plain checkpoint; nil if it is.
  private static func problem(
    _ odd: Oddity, expected: JSONValue?, _ session: Session, in folder: FilePath
  ) throws -> String? {
    let isPacked = odd.model.hasSuffix(".kiln")
    try FileManager.default.createDirectory(
      atPath: folder.appending("out").string, withIntermediateDirectories: true)
    for subject in Subject.allCases {
      let outcome = try session.run(subject.arguments(odd.model, isPacked: isPacked), in: folder)
      if let problem = Verdict.problem(outcome, places: [], mustFail: false, isVerify: true) {
        return "\(subject): \(problem)"
      }
      guard outcome.status == 0 else { return "\(subject): \(outcome.errors)\(outcome.text)" }
      try Files.empty(folder.appending("out"))
    }
    let found = try meanLoss(odd.model, session, in: folder)
    guard let found, found == expected || !odd.isSameModel else {
      return "perplexity is \(String(describing: found)), not \(String(describing: expected))"
    }
    guard !isPacked else { return nil }
    for arguments in [
      ["convert", odd.model, "out/x.kiln"], ["convert", "out/x.kiln", "out/back"],
      ["convert", "out/back", "out/y.kiln"],
    ] {
      let outcome = try session.run(arguments, in: folder)
      guard outcome.status == 0 else { return "\(arguments): \(outcome.errors)" }
    }
    let digests = try ["out/x.kiln", "out/y.kiln"].map { try Files.digest(folder.appending($0)) }
    return digests[0] == digests[1] ? nil : "there and back again is another packed file"
  }

  private static func folder(
    _ name: String, place: String = "plain",
    _ edit: @escaping @Sendable (inout [String: [UInt8]]) -> Void
  ) -> Oddity {
    Oddity(name: name, place: place) { folder in
      var files = Models.files()
      edit(&files)
      for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
    }
  }

  private static func weights(_ name: String, header: String, data: [UInt8] = []) -> Oddity {
    let file = RawSafetensors.file(
      header: Array(header.utf8), data: HeaderAttacks.sound.data + data)
    return folder(name) { $0["model.safetensors"] = file }
  }

  private static var headers: [Oddity] {
    let members = HeaderAttacks.sound.members
    let end = HeaderAttacks.sound.data.count
    func entry(_ name: String, _ dtype: String, _ shape: [Int], _ count: Int) -> String {
      "\"\(name)\":\(RawSafetensors.entry(dtype, shape, end, end + count)),"
    }
    let bare = String(members.drop { $0 != "}" }.dropFirst(2))
    return (0..<8).map {
      weights("\($0) spaces of padding", header: "{\(members)}" + String(repeating: " ", count: $0))
    }
      + [
        weights(
          "4096 newlines and tabs",
          header: "{\n\t\(members)\r\n}" + String(repeating: "\n\t \r", count: 1024)),
        weights("no metadata", header: "{\(bare)}"),
        weights("null metadata", header: "{\"__metadata__\":null,\(bare)}"),
        weights(
          "metadata behind the tensors", header: "{\(bare),\"__metadata__\":{\"a\":\"\\u0000\"}}"),
        weights(
          "metadata of 100 KB",
          header: "{\"__metadata__\":{\"a\":\"\(String(repeating: "é", count: 50_000))\"},\(bare)}"),
        weights(
          "names with escapes",
          header: "{\(members.replacingOccurrences(of: "lm_head", with: "l\\u006d_he\\u0061d"))}"),
        weights(
          "a scalar", header: "{\(entry("scalar", "F64", [], 8))\(members)}", data: Array(1...8)),
        weights("no elements", header: "{\(entry("none", "F32", [0, 3], 0))\(members)}"),
        weights(
          "2^60 rows of nothing", header: "{\(entry("none", "BF16", [1 << 60, 0], 0))\(members)}"),
        weights(
          "a name that is not ASCII", header: "{\(entry("é陶\u{1F600}", "U8", [1], 1))\(members)}",
          data: [1]),
        weights("an empty name", header: "{\(entry("", "U8", [1], 1))\(members)}", data: [1]),
        weights(
          "keys that nobody knows",
          header:
            "{\"x\":{\"more\":[{\"a\":1e400}],\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[\(end),\(end)]},\(members)}"
        ),
        weights(
          "nested 128 deep",
          header:
            "{\"x\":{\"more\":\(String(repeating: "[", count: 126) + String(repeating: "]", count: 126)),\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[\(end),\(end)]},\(members)}"
        ),
        weights(
          "names that only look alike",
          header:
            "{\"\u{E9}\":\(RawSafetensors.entry("U8", [1], end, end + 1)),\"e\u{301}\":\(RawSafetensors.entry("U8", [1], end + 1, end + 2)),\(members)}",
          data: [1, 2]),
      ]
      + [
        "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "I16", "U16", "I32", "U32", "F64", "I64", "U64",
        "C64", "F4", "F6_E2M3",
      ].compactMap { name in
        DType(rawValue: name)?.byteCount(elementCount: 4).map { count in
          weights(
            "a tensor of \(name)", header: "{\(entry("extra", name, [2, 2], count))\(members)}",
            data: [UInt8](repeating: 1, count: count))
        }
      }
  }

  /// Tensors in other orders, in the header and in the data; odd offsets follow.
  private static var orders: [Oddity] {
    (0..<6).map { seed in
      var random = SeededGenerator(seed: UInt64(seed))
      var tensors = Models.tiny.tensors.shuffled(using: &random)
      if seed % 2 == 1 {
        tensors.insert(
          TinyTensor(
            name: "odd", dtype: .u8, shape: [seed], bytes: Array(repeating: 9, count: seed)), at: 0)
      }
      let file = TinyTensor.file(tensors)
      return folder("order \(seed)") { $0["model.safetensors"] = file }
    }
  }

  private static var extras: [Oddity] {
    [
      folder("more files") { files in
        files["README.md"] = Array("# x\n".utf8)
        files["é 陶.txt"] = [0, 1, 2]
        files[".hidden"] = [1]
        files["generation_config.json"] = Array("{".utf8)
        files["pytorch_model.bin"] = [1, 2, 3]
      },
      folder("no tokenizer_config.json") { $0["tokenizer_config.json"] = nil },
      folder("another name") {
        $0["weights-v2.safetensors"] = $0.removeValue(forKey: "model.safetensors")
      },
    ]
  }

  private static var texts: [Oddity] {
    let configuration = Models.tiny.configuration
    func lines(_ edit: ([String]) -> [String], end: String = "\n") -> [UInt8] {
      Array((edit(Models.vocabulary).joined(separator: end) + end).utf8)
    }
    var random = SeededGenerator(seed: 5)
    let vocabularies: [(String, [UInt8])] = [
      ("CRLF", lines({ $0 }, end: "\r\n")), ("blank lines", lines({ $0 }, end: "\n\n")),
      ("any order", lines { $0.shuffled(using: &random) }), ("backwards", lines { $0.reversed() }),
      ("no newline at the end", Array(Models.vocabulary.joined(separator: "\n").utf8)),
    ]
    let pretty = String(decoding: JSONWriter.pretty(configuration), as: UTF8.self)
    let configurations: [(String, [UInt8])] = [
      ("CRLF", Array(pretty.replacingOccurrences(of: "\n", with: "\r\n").utf8)),
      ("one line", JSONWriter.compact(configuration)),
      ("keys backwards", JSONWriter.compact(.object(configuration.members.reversed()))),
      (
        "more keys",
        JSONWriter.compact(configuration.setting("zzz", to: [1, .null, ["a": .number(1.5)]]))
      ),
      ("swish", JSONWriter.compact(configuration.setting("hidden_act", to: "swish"))),
      ("no architectures", JSONWriter.compact(configuration.setting("architectures", to: nil))),
      (
        "no tie_word_embeddings",
        JSONWriter.compact(configuration.setting("tie_word_embeddings", to: nil))
      ),
      ("null q_lora_rank", JSONWriter.compact(configuration.setting("q_lora_rank", to: .null))),
      ("no model_type", JSONWriter.compact(configuration.setting("model_type", to: nil))),
      ("spaces around", [0x20, 0x0A] + JSONWriter.pretty(configuration) + [0x0A, 0x20]),
    ]
    return vocabularies.map { name, bytes in
      folder("tiktoken.model: \(name)") { $0["tiktoken.model"] = bytes }
    }
      + configurations.map { name, bytes in
        folder("config.json: \(name)") { $0["config.json"] = bytes }
      }
  }
}

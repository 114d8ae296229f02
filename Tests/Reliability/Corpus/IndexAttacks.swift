// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// Indices that are wrong in themselves or about their shards.
enum IndexAttacks {
  static var cases: [MalformedCase] {
    texts + places + maps + shards
  }

  static let index = "model.safetensors.index.json"
  static let firstShard = "model-00001-of-00003.safetensors"

  /// The files of the checkpoint in three shards.
  static var files: [String: [UInt8]] {
    var checkpoint = Models.tiny
    checkpoint.shardCount = 3
    return Models.files(checkpoint)
  }

  /// A checkpoint in shards whose index has a text replaced.
  static func replacing(
    _ name: String, _ old: String, _ new: String, places: [String] = [index],
    refusedBy: Set<Subject> = Subject.all, promises: [String] = []
  ) -> MalformedCase {
    MalformedCase(
      name: "index: " + name, promises: promises, places: places, refusedBy: refusedBy
    ) { folder in
      var files = files
      let text = String(decoding: files[index] ?? [], as: UTF8.self)
      guard let range = text.range(of: old) else { throw ExperimentError("no \(old) in the index") }
      files[index] = Array(text.replacingCharacters(in: range, with: new).utf8)
      for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
    }
  }

  /// A checkpoint in shards with another index.
  static func whole(_ name: String, _ bytes: [UInt8], isLarge: Bool = false) -> MalformedCase {
    MalformedCase(name: "index: " + name, places: [index], isLarge: isLarge) { folder in
      var files = files
      files[index] = bytes
      for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
    }
  }

  private static var texts: [MalformedCase] {
    [
      "", "{}", "[]", "null", "{", #"{"weight_map":[]}"#, #"{"weight_map":null}"#,
      #"{"weight_map":{}}"#, #"{"weight_map":{"a":1}}"#, #"{"weight_map":{"a":null}}"#,
      #"{"weight_map":{"a":["x"]}}"#, #"{"weight_map":{"a":""}}"#, #"{"weight_map":{"a":"x"}}}"#,
      #"{"weight_map":{"a":"x"}"#, #"{"weightmap":{"a":"x"}}"#, "\u{FEFF}{\"weight_map\":{}}",
      #"{"metadata":NaN,"weight_map":{"a":"x"}}"#,
      "{\"x\":" + String(repeating: "[", count: 129) + String(repeating: "]", count: 129)
        + ",\"weight_map\":{}}",
    ].map { whole($0.prefix(40).description, Array($0.utf8)) }
      + [
        whole("UTF-16", Array("{\"weight_map\":{}}".utf16).flatMap(\.littleEndianBytes)),
        whole(
          "a name that is not UTF-8",
          Array("{\"weight_map\":{\"a\":\"".utf8) + [0xFF, 0x22, 0x7D, 0x7D]),
        whole(
          "more shards than any checkpoint has",
          Array("{\"weight_map\":{".utf8)
            + (0...1 << 14).flatMap { Array("\"\($0)\":\"s\($0).safetensors\",".utf8) }
            + Array("\"x\":\"y\"}}".utf8)),
        whole("60 MB of spaces", [UInt8](repeating: 0x20, count: 60_000_000), isLarge: true),
      ]
  }

  /// Shard names that name nothing.
  private static var places: [MalformedCase] {
    [
      "nothing.safetensors", "sub/nothing.safetensors", "config.json/x", "NUL", "con", "~/x",
      "$HOME",
    ]
    .map { name in
      replacing("a shard \(name)", firstShard, name, places: [index, name])
    }
      + [
        replacing(
          "a shard of 5000 letters", firstShard, String(repeating: "a", count: 5000),
          places: [index, "aaaa"]),
        replacing("a shard with a NUL", firstShard, "x\\u0000.safetensors"),
        replacing(
          "a shard with control characters", firstShard, "\\u001b[2J\\n",
          places: [index, "\\u{1b}"]),
        replacing(
          "the configuration as a shard", firstShard, "config.json", places: ["config.json"]),
        replacing("the index as a shard", firstShard, index),
      ]
  }

  /// Maps that place tensors where they are not.
  private static var maps: [MalformedCase] {
    let name = "\"model.norm.weight\""
    return [
      replacing(
        "a key twice", "\"weight_map\": {", "\"weight_map\": {\(name): \"x\",", promises: ["R4"]),
      replacing(
        "an escaped key twice", "\"weight_map\": {",
        "\"weight_map\": {\"model.norm.weigh\\u0074\": \"\(firstShard)\",", promises: ["R4"]),
      replacing(
        "two maps", "\"weight_map\": {", "\"weight_map\": {}, \"weight_map\": {", promises: ["R4"]),
      replacing(
        "a tensor that is in no shard", "\"weight_map\": {",
        "\"weight_map\": {\"nothing\": \"\(firstShard)\",", places: ["nothing"], promises: ["R6"]),
      replacing(
        "a tensor renamed", name, "\"model.norm.height\"", places: ["model.norm"], promises: ["R6"]),
      MalformedCase(
        name: "index: a tensor in another shard", promises: ["R6"], places: [index]
      ) { folder in
        var files = files
        let text = String(decoding: files[index] ?? [], as: UTF8.self)
        files[index] = Array(
          text.replacingOccurrences(
            of: firstShard, with: "model-00002-of-00003.safetensors"
          ).utf8)
        for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
      },
      MalformedCase(
        name: "index: a tensor left out", promises: ["R6"], places: ["model.norm.weight"],
        refusedBy: Subject.ofTensors
      ) { folder in
        var files = files
        let lines = String(decoding: files[index] ?? [], as: UTF8.self).split(separator: "\n")
        files[index] = Array(lines.filter { !$0.contains("\"model.norm.weight\"") }.joined().utf8)
        for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
      },
    ]
  }

  /// Shards that are not there, or broken.
  private static var shards: [MalformedCase] {
    let edits: [(String, @Sendable (inout [String: [UInt8]]) -> Void)] = [
      ("a shard missing", { $0[firstShard] = nil }), ("a shard empty", { $0[firstShard] = [] }),
      ("a shard cut", { $0[firstShard]?.removeLast(100) }),
      ("a shard longer", { $0[firstShard]?.append(0) }),
      (
        "two shards swapped",
        { files in
          let first = files[firstShard]
          files[firstShard] = files["model-00002-of-00003.safetensors"]
          files["model-00002-of-00003.safetensors"] = first
        }
      ),
      ("no index", { $0[index] = nil }),
      (
        "no shard",
        { files in
          for name in files.keys where name.hasSuffix(".safetensors") { files[name] = nil }
        }
      ),
    ]
    return edits.map { name, edit in
      MalformedCase(name: "index: " + name, places: [firstShard, index]) { folder in
        var files = files
        edit(&files)
        for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
      }
    }
  }
}

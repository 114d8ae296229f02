// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport

/// R5: names and links that lead out of the checkpoint, always to sound files: following them would
/// work.
enum PathAttacks {
  static var cases: [MalformedCase] {
    traversals + links
  }

  /// Names in the index; `ABSOLUTE` stands for the working folder.
  private static let prefixes = [
    "../other/", "../model_evil/", "ABSOLUTE/other/", "./../other/", "x/../../other/", "../model/",
    ".//", "x/../", "//", "..//other/", "sub/../../other/", "./../../other/",
    "././/", "../other/../other/",
  ]

  private static func writeAll(_ folder: TemporaryFolder) throws {
    for name in ["model", "other", "model_evil"] {
      for (file, bytes) in IndexAttacks.files { try folder.write(bytes, as: "\(name)/\(file)") }
    }
    try folder.makeFolder("model/x")
    try folder.makeFolder("model/sub")
  }

  private static var traversals: [MalformedCase] {
    prefixes.map { prefix in
      MalformedCase(
        name: "a shard \(prefix)…", promises: ["R5"], places: [IndexAttacks.index]
      ) { folder in
        try writeAll(folder)
        let path = folder.path.appending("model/\(IndexAttacks.index)")
        let text = String(decoding: try Files.read(path), as: UTF8.self)
        let place = prefix.replacingOccurrences(of: "ABSOLUTE", with: folder.path.string)
        try Files.write(
          Array(
            text.replacingOccurrences(
              of: IndexAttacks.firstShard, with: place + IndexAttacks.firstShard
            ).utf8), to: path)
      }
    }
      + [
        "..", ".", "/", "", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/etc/passwd", "a/",
        "a//b",
      ]
      .map { name in
        IndexAttacks.replacing("the shard \(name)", IndexAttacks.firstShard, name, promises: ["R5"])
      }
  }

  /// What a link in the folder leads to, and its name.
  private static var links: [MalformedCase] {
    let shard = IndexAttacks.firstShard
    let targets = [
      "../other/\(shard)", "../model_evil/\(shard)", "/dev/zero", "/dev/stdin", "/proc/self/exe",
      "chain", "/etc/passwd", "../text.txt",
    ]
    let shards = targets.map { target in
      MalformedCase(
        name: "a shard that is a link to \(target)", promises: ["R5"],
        places: [shard, IndexAttacks.index]
      ) { folder in
        try writeAll(folder)
        Files.remove(folder.path.appending("model/\(shard)"))
        try folder.link("model/\(shard)", to: target)
        try folder.link("model/chain", to: "../other/\(shard)")
      }
    }
    let known = ["config.json", "tiktoken.model", "tokenizer_config.json"].map { name in
      MalformedCase(name: "\(name) is a link out", promises: ["R5"], places: [name]) { folder in
        try writeAll(folder)
        Files.remove(folder.path.appending("model/\(name)"))
        try folder.link("model/\(name)", to: "../other/\(name)")
      }
    }
    let folders = MalformedCase(
      name: "a folder on the way is a link out", promises: ["R5"],
      places: [shard, IndexAttacks.index]
    ) { folder in
      try writeAll(folder)
      try folder.link("model/way", to: "../other")
      let path = folder.path.appending("model/\(IndexAttacks.index)")
      let text = String(decoding: try Files.read(path), as: UTF8.self)
      try Files.write(
        Array(text.replacingOccurrences(of: shard, with: "way/" + shard).utf8), to: path)
    }
    let cache = MalformedCase(
      name: "a cache whose link leads past its blobs", promises: ["R5"],
      places: [shard, IndexAttacks.index], model: "hub/snapshots/abc"
    ) { folder in
      for (file, bytes) in IndexAttacks.files {
        try folder.write(bytes, as: "hub/snapshots/abc/\(file)")
        try folder.write(bytes, as: "hub/blobs_evil/\(file)")
      }
      Files.remove(folder.path.appending("hub/snapshots/abc/\(shard)"))
      try folder.link("hub/snapshots/abc/\(shard)", to: "../../blobs_evil/\(shard)")
    }
    return shards + known + [folders, cache]
  }
}

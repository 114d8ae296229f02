// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TensorCore
import TestSupport

/// Sound checkpoints in odd places and layouts.
extension OddInputs {
  private static func write(
    _ files: [String: [UInt8]], to folder: TemporaryFolder, as name: String = "model"
  ) throws {
    for (file, bytes) in files { try folder.write(bytes, as: "\(name)/\(file)") }
  }

  /// A name in the folder with a link in front of what it held.
  private static func hide(
    _ name: String, in folder: TemporaryFolder, behind target: String, at place: String
  ) throws {
    let file = folder.path.appending(name)
    let bytes = try Files.read(file)
    try folder.write(bytes, as: place)
    Files.remove(file)
    try folder.link(name, to: target)
  }

  static var places: [Oddity] {
    let names = [
      "with spaces", "é", "e\u{301}", "陶 窯", "\u{1F600}", "-dash", "--help", "a\nb", "*?[x]",
      "$HOME", "'\"",
      "model.safetensors", "x.kiln", String(repeating: "n", count: 250), "%s%n",
    ]
    return names.map { name in
      Oddity(name: "a folder \(name.prefix(20).debugDescription)", place: name) {
        try write(Models.files(), to: $0)
      }
    }
      + ["model/", "./model", "model/../model", ".//model//", "model/model.safetensors"].map {
        path in
        Oddity(name: "the path \(path)", model: path) { try write(Models.files(), to: $0) }
      } + [
        Oddity(name: "a link to the folder", model: "link") { folder in
          try write(Models.files(), to: folder)
          try folder.link("link", to: "model")
        },
        Oddity(name: "a folder that only can be read") { folder in
          try write(Models.files(), to: folder)
          for name in try FolderListing.entries(of: folder.path.appending("model")) {
            try Files.setMode(0o444, of: folder.path.appending("model/\(name)"))
          }
          try Files.setMode(0o555, of: folder.path.appending("model"))
        },
        Oddity(name: "links inside the folder") { folder in
          try write(Models.files(), to: folder)
          for name in ["model.safetensors", "config.json"] {
            try hide("model/\(name)", in: folder, behind: "data/\(name)", at: "model/data/\(name)")
          }
        },
      ] + cache + shards
  }

  /// The layout of the Hugging Face cache, alone and in shards.
  private static var cache: [Oddity] {
    [Models.files(), IndexAttacks.files].enumerated().map { number, files in
      Oddity(name: "the hub's cache \(number)", model: "models--x--y/snapshots/abc") { folder in
        try write(files, to: folder, as: "models--x--y/blobs")
        for file in files.keys {
          try folder.link("models--x--y/snapshots/abc/\(file)", to: "../../blobs/\(file)")
        }
      }
    }
  }

  private static var shards: [Oddity] {
    let index = IndexAttacks.index
    func edited(_ name: String, _ edit: @escaping @Sendable (inout [String: [UInt8]]) -> Void)
      -> Oddity
    {
      Oddity(name: name) { folder in
        var files = IndexAttacks.files
        edit(&files)
        try write(files, to: folder)
      }
    }
    @Sendable func changeIndex(
      _ files: inout [String: [UInt8]], _ edit: (String) -> String
    ) {
      files[index] = Array(edit(String(decoding: files[index] ?? [], as: UTF8.self)).utf8)
    }
    return [
      edited("shards") { _ in },
      edited("an index in CRLF") { files in
        changeIndex(&files) { $0.replacingOccurrences(of: "\n", with: "\r\n") }
      },
      edited("an index with more keys") { files in
        changeIndex(&files) { "{\"a\": [1e400, {}], " + $0.dropFirst() }
      },
      edited("an index without metadata") { files in
        changeIndex(&files) { $0.replacingOccurrences(of: "\"metadata\": {},", with: "") }
      },
      edited("an index whose total size is wrong") { files in
        changeIndex(&files) {
          $0.replacingOccurrences(
            of: "\"metadata\": {}", with: "\"metadata\": {\"total_size\": \"x\"}")
        }
      },
      edited("shards with their numbers exchanged") { files in
        let names = ["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"]
        (files[names[0]], files[names[1]]) = (files[names[1]], files[names[0]])
        changeIndex(&files) {
          $0.replacingOccurrences(of: names[0], with: "@").replacingOccurrences(
            of: names[1], with: names[0]
          )
          .replacingOccurrences(of: "@", with: names[1])
        }
      },
      edited("shards of other names") { files in
        files["b é.bin"] = files.removeValue(forKey: "model-00001-of-00003.safetensors")
        files["sub/c.safetensors"] = files.removeValue(forKey: "model-00002-of-00003.safetensors")
        changeIndex(&files) {
          $0.replacingOccurrences(of: "model-00001-of-00003.safetensors", with: "b é.bin")
            .replacingOccurrences(of: "model-00002-of-00003.safetensors", with: "sub/c.safetensors")
        }
      },
      edited("a shard that nobody names") { $0["model-00009-of-00009.safetensors"] = [1, 2, 3] },
      edited("a tensor that the index does not name") { files in
        let extra = TinyTensor(name: "more", dtype: .u8, shape: [1], bytes: [1])
        let part = stride(from: 0, to: Models.tiny.tensors.count, by: 3).map {
          Models.tiny.tensors[$0]
        }
        files["model-00001-of-00003.safetensors"] = TinyTensor.file(part + [extra])
      },
    ]
  }

  /// A packed file under other names.
  static func packed(_ session: Session) -> [Oddity] {
    let source = session.models.packed
    return ["x.kiln", "é 陶.kiln", "sub/deep/x.kiln"].map { name in
      Oddity(name: "packed as \(name)", model: name) {
        try $0.write(try Files.read(source), as: name)
      }
    }
      + ["weights.bin", "x.safetensors", "noextension"].map { name in
        Oddity(name: "a packed file behind the link \(name).kiln", model: "\(name).kiln") {
          folder in
          try folder.write(try Files.read(source), as: name)
          try folder.link("\(name).kiln", to: name)
        }
      } + [
        Oddity(name: "with more keys in its header", model: "more.kiln") { folder in
          var file = try RawPackedFile(opening: try Files.read(source))
          file.header = Array("{\"later\":[{}],".utf8) + file.header.dropFirst()
          try folder.write(file.sealed, as: "more.kiln")
        },
        Oddity(name: "with optional features", model: "optional.kiln") { folder in
          let file = try RawPackedFile(opening: try Files.read(source))
          let header = file.paddedHeader
          let prelude = RawPackedFile.prelude(
            header: header, optional: 0xFFFF_FFFF,
            fileByteCount: 64 + header.count + file.data.count)
          try folder.write(prelude + header + file.data, as: "optional.kiln")
        },
      ]
  }

  /// Every kind of model and of storage.
  static var variants: [Oddity] {
    TinyCheckpoint.variants.map { variant in
      var checkpoint = variant
      checkpoint.vocabularySize = 520
      let files = Models.files(checkpoint)
      return Oddity(name: "variant \(variant.name)", isSameModel: variant.name == "transformers") {
        try write(files, to: $0)
      }
    }
  }
}

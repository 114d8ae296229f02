// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport

/// Safetensors files of the wrong length, and what else may stand where a file should.
enum FileAttacks {
  static var cases: [MalformedCase] {
    lengths + cuts + large + strangers
  }

  private static let file = TinyTensor.file(Models.tiny.tensors)

  private static func weights(_ name: String, _ bytes: [UInt8]) -> MalformedCase {
    .folder(
      "file: " + name, replacing: "model.safetensors", with: bytes, refusedBy: Subject.all)
  }

  private static var lengths: [MalformedCase] {
    let length = file.count - 8
    let declared: [UInt64] = [
      0, 1, 2, UInt64(length) + 1, UInt64(length) + 2, 100_000_000, 100_000_001, 1 << 31, 1 << 32,
      1 << 62, 1 << 63, UInt64(Int.max) - 8, UInt64(Int.max), .max - 8, .max - 7, .max,
    ]
    return declared.map { weights("header of \($0) bytes", file.replacing(at: 0, with: $0)) }
      + [
        weights("the length big-endian", Array(file[0..<8].reversed()) + file[8...]),
        weights("the length one too small", shifted(by: -1)),
        weights("the length one too large", shifted(by: 1)),
      ]
  }

  private static func shifted(by difference: Int) -> [UInt8] {
    let length = file.word(at: 0)
    return file.replacing(at: 0, with: UInt64(length + difference))
  }

  private static var cuts: [MalformedCase] {
    let length = file.word(at: 0)
    let start = 8 + length
    var borders = Array(0...9) + [start - 1, start, start + 1, file.count - 1, file.count / 2]
    var end = start
    for tensor in Models.tiny.tensors.prefix(8) {
      end += tensor.bytes.count
      borders += [end - 1, end, end + 1]
    }
    return Set(borders).sorted().map { weights("cut at \($0)", Array(file[..<$0])) }
      + [1, 2, 7, 8, 4096].map { count in
        weights("\(count) bytes longer", file + [UInt8](repeating: 0, count: count))
      }
      + [
        weights("a text", Array("not a checkpoint\n".utf8)),
        weights("a zip archive", [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 100)),
        weights("a pickle", [0x80, 2, 0x7D, 0x71, 0, 0x2E]),
        weights("GGUF", Array("GGUF".utf8) + [UInt8](repeating: 3, count: 100)),
        weights("zeros", [UInt8](repeating: 0, count: 4096)),
        weights("ones", [UInt8](repeating: 0xFF, count: 4096)),
      ]
  }

  /// Headers of 100 MB, in holes where the file system allows it.
  private static var large: [MalformedCase] {
    func sparse(_ name: String, _ declared: Int, _ size: Int) -> MalformedCase {
      MalformedCase(name: "file: " + name, places: ["model.safetensors"], isLarge: true) { folder in
        for (name, bytes) in Models.files() { try folder.write(bytes, as: "model/\(name)") }
        try folder.write(
          UInt64(declared).littleEndianBytes + [UInt8(ascii: "{")], as: "model/model.safetensors")
        try folder.extend("model/model.safetensors", to: size)
      }
    }
    func text(_ name: String, _ make: @escaping @Sendable () -> [UInt8]) -> MalformedCase {
      MalformedCase(name: "file: " + name, places: ["model.safetensors"], isLarge: true) { folder in
        for (name, bytes) in Models.files() { try folder.write(bytes, as: "model/\(name)") }
        let header = make()
        try folder.write(
          RawSafetensors.file(header: header), as: "model/model.safetensors")
      }
    }
    return [
      sparse("a header of 100 MB of zeros", 100_000_000, 100_000_100),
      sparse("a header of 100 MB and a byte", 100_000_001, 100_000_100),
      sparse("a header of 8 GB in a hole", 8 << 30, (8 << 30) + 8),
      text("50 MB of brackets") {
        Array("{\"x\":".utf8) + [UInt8](repeating: 0x5B, count: 50_000_000)
      },
      text("60 MB of one name") {
        Array("{\"".utf8) + [UInt8](repeating: 0x61, count: 60_000_000) + Array("\":1}".utf8)
      },
      text("60 MB of names without end") {
        Array("{".utf8) + (0..<2_000_000).flatMap { Array("\"\($0)\":{\"dtype\":\"U8\"},".utf8) }
      },
      text("60 MB of a shape") {
        Array("{\"x\":{\"dtype\":\"U8\",\"shape\":[".utf8)
          + Array(repeating: Array("1,".utf8), count: 30_000_000).joined() + Array("1]}}".utf8)
      },
      text("80 MB of spaces, then nothing") {
        Array("{".utf8) + [UInt8](repeating: 0x20, count: 80_000_000)
      },
      text("a number of 50 MB") {
        Array("{\"x\":".utf8) + [UInt8](repeating: 0x39, count: 50_000_000) + Array("}".utf8)
      },
    ]
  }

  /// FIFOs, devices, folders and nothing in place of a file of the checkpoint, or of the checkpoint.
  private static var strangers: [MalformedCase] {
    let kinds: [(String, @Sendable (TemporaryFolder, String) throws -> Void)] = [
      ("a FIFO", { try $0.makeFIFO($1) }), ("/dev/zero", { try $0.link($1, to: "/dev/zero") }),
      ("/dev/full", { try $0.link($1, to: "/dev/full") }), ("a folder", { try $0.makeFolder($1) }),
      ("a link to itself", { try $0.link($1, to: FilePath($1).lastComponent?.string ?? "") }),
      ("a link to nowhere", { try $0.link($1, to: "nowhere") }),
    ]
    let inFolder = ["model.safetensors", "config.json", "tiktoken.model"].flatMap { file in
      kinds.map { kind, make in
        MalformedCase(name: "\(kind) as \(file)", places: [file]) { folder in
          for (name, bytes) in Models.files() where name != file {
            try folder.write(bytes, as: "model/\(name)")
          }
          try make(folder, "model/\(file)")
        }
      }
    }
    let models = kinds.map { kind, make in
      MalformedCase(name: "\(kind) as the model", places: ["model"]) { try make($0, "model") }
    }
    return inFolder + models
      + [
        MalformedCase(name: "no model", places: ["model"]) { _ in },
        MalformedCase(name: "an empty file as the model", places: ["model"]) {
          try $0.write("", as: "model")
        },
        MalformedCase(name: "a path below a file", places: ["model"], model: "model/x") {
          try $0.write("", as: "model")
        },
      ]
  }
}

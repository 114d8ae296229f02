// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import SystemPackage
import TensorCore
import TestSupport

/// R18: the bounds that the format pages state, from both sides.
enum Bounds {
  static let experiment = Experiment(promises: ["R18"], name: "bounds", run: run)

  /// An input just inside a bound or just beyond it.
  private struct Border: Sendable {
    let name: String
    let isInside: Bool
    var command = Subject.inspect
    var model = "model"
    let write: @Sendable (TemporaryFolder) throws -> Void
  }

  private static func run(_ session: Session) throws -> [Ledger] {
    let inside = Ledger("R18", "inputs at a bound: accepted")
    let beyond = Ledger("R18", "inputs one beyond it: refused")
    let borders = try headers + depths + files + packed(session)
    try session.forEach(borders.count, "bounds") { lane, index in
      let folder = TemporaryFolder(at: lane)
      let border = borders[index]
      try border.write(folder)
      try folder.write(Models.text, as: "text.txt")
      try folder.makeFolder("out")
      let arguments = border.command.arguments(
        border.model, isPacked: border.model.hasSuffix(".kiln"), recipe: border.command == .quantize
      )
      let outcome = try session.run(arguments, in: folder.path)
      var problem = Verdict.problem(outcome, places: [], mustFail: !border.isInside)
      if border.isInside, outcome.status != 0 { problem = outcome.errors }
      (border.isInside ? inside : beyond).record(problem, border.name)
      try Files.empty(folder.path)
    }
    return [inside, beyond]
  }

  private static func folder(
    _ name: String, _ isInside: Bool, _ file: String, command: Subject = .inspect,
    _ make: @escaping @Sendable () -> [UInt8]
  ) -> Border {
    Border(name: "\(name), \(isInside ? "inside" : "beyond")", isInside: isInside, command: command)
    { folder in
      let sharded = file == IndexAttacks.index
      for (name, bytes) in sharded ? IndexAttacks.files : Models.files() where name != file {
        try folder.write(bytes, as: "model/\(name)")
      }
      try folder.write(make(), as: file == "recipe.json" ? file : "model/\(file)")
    }
  }

  /// A safetensors header of 100,000,000 bytes, and of one more.
  private static var headers: [Border] {
    [100_000_000, 100_000_001].map { length in
      folder("safetensors header", length == 100_000_000, "model.safetensors") {
        let text = Array("{\(HeaderAttacks.sound.members)}".utf8)
        let padding = [UInt8](repeating: 0x20, count: length - text.count)
        return RawSafetensors.file(header: text + padding, data: HeaderAttacks.sound.data)
      }
    }
  }

  /// JSON of 128 levels, and of 129, in every file that is JSON.
  private static var depths: [Border] {
    [128, 129].flatMap { depth in
      let isInside = depth == 128
      /// A value that brings a document to the depth when it stands so many levels down.
      @Sendable func nested(below levels: Int) -> String { self.nested(depth - levels) }
      @Sendable func before(_ text: [UInt8]) -> [UInt8] {
        Array("{\"zzz\":\(nested(below: 1)),".utf8) + text.drop { $0 != 0x7B }.dropFirst()
      }
      return [
        folder("depth of a safetensors header", isInside, "model.safetensors") {
          let end = HeaderAttacks.sound.data.count
          let entry =
            "\"x\":{\"more\":\(nested(below: 2)),\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[\(end),\(end)]}"
          return RawSafetensors.file(
            header: Array("{\(entry),\(HeaderAttacks.sound.members)}".utf8),
            data: HeaderAttacks.sound.data)
        },
        folder("depth of config.json", isInside, "config.json") {
          before(JSONWriter.compact(Models.tiny.configuration))
        },
        folder(
          "depth of tokenizer_config.json", isInside, "tokenizer_config.json", command: .tokenize
        ) {
          before(Array(Models.tokenizerConfiguration.utf8))
        },
        folder("depth of an index", isInside, IndexAttacks.index) {
          before(IndexAttacks.files[IndexAttacks.index] ?? [])
        },
      ]
    }
  }

  /// Files of the largest sizes that are read, and of one byte more; white space brings them there.
  private static var files: [Border] {
    let configuration = JSONWriter.compact(Models.tiny.configuration)
    let vocabulary = Array((Models.vocabulary.joined(separator: "\n") + "\n").utf8)
    let index = IndexAttacks.files[IndexAttacks.index] ?? []
    let recipe = Array("{\"kiln_recipe\":1,\"rules\":[]}".utf8)
    let kinds: [(name: String, file: String, text: [UInt8], limit: Int, command: Subject)] = [
      ("config.json of 16 MiB", "config.json", configuration, 1 << 24, .inspect),
      ("tiktoken.model of 16 MiB", "tiktoken.model", vocabulary, 1 << 24, .tokenize),
      ("index of 100,000,000 bytes", IndexAttacks.index, index, 100_000_000, .inspect),
      ("recipe of 16 MiB", "recipe.json", recipe, 1 << 24, .quantize),
    ]
    return kinds.flatMap { kind in
      [0, 1].map { more in
        folder(kind.name, more == 0, kind.file, command: kind.command) {
          kind.text + [UInt8](repeating: 0x0A, count: kind.limit + more - kind.text.count)
        }
      }
    }
  }

  /// Packed headers of 64 MiB, and of a page more; and of 128 levels, and of one more.
  private static func packed(_ session: Session) throws -> [Border] {
    let bytes = try Files.read(session.models.packed)
    let length = bytes.word(at: 24)
    let page = RawPackedFile.pageByteCount
    // With the prelude, the header ends at a page.
    let largest = 67_108_800
    let sizes = [true, false].map { (isInside: Bool) -> Border in
      Border(name: "packed header of 64 MiB \(isInside)", isInside: isInside, model: "model.kiln") {
        folder in
        let room: Int = largest - length + (isInside ? 0 : page)
        try folder.write(try RawPackedFile(opening: bytes, room: room).sealed, as: "model.kiln")
      }
    }
    let depths = [128, 129].map { (depth: Int) -> Border in
      let nested = nested(depth - 1)
      let name = "depth of a packed header \(depth)"
      return Border(name: name, isInside: depth == 128, model: "model.kiln") { folder in
        var file = try RawPackedFile(opening: bytes)
        file.header = Array("{\"zzz\":\(nested),".utf8) + file.header.dropFirst()
        try folder.write(file.sealed, as: "model.kiln")
      }
    }
    return sizes + depths
  }

  /// Arrays in each other, so many.
  private static func nested(_ count: Int) -> String {
    String(repeating: "[", count: count) + String(repeating: "]", count: count)
  }
}

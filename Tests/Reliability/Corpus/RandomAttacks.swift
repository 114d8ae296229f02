// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TestSupport

/// Files with random bytes changed: they may be accepted or refused, but cleanly.
enum RandomAttacks {
  private static let perFile = 40

  static func cases(
    _ random: SeededGenerator, packed: [UInt8]
  ) throws -> [MalformedCase] {
    var random = random
    let files = Models.files()
    var cases: [MalformedCase] = []
    for name in ["model.safetensors", "config.json", "tiktoken.model", "tokenizer_config.json"] {
      for number in 0..<perFile {
        // Of the weights, only the head can be wrong in form.
        let bytes = mutate(files[name] ?? [], within: 8000, &random)
        cases.append(
          MalformedCase(name: "random \(name) \(number)", places: [name, "model"], refusedBy: []) {
            folder in
            for (other, content) in files {
              try folder.write(other == name ? bytes : content, as: "model/\(other)")
            }
          })
      }
    }
    for number in 0..<perFile {
      var file = try RawPackedFile(opening: packed)
      file.header = mutate(file.header, within: file.header.count, &random)
      let changed = file
      cases.append(.packed("random packed header \(number)", changed.sealed, refusedBy: []))
    }
    return cases
  }

  /// Changes a few bytes: others in their place, some gone, some repeated, digits and marks exchanged.
  private static func mutate(
    _ bytes: [UInt8], within limit: Int, _ random: inout SeededGenerator
  ) -> [UInt8] {
    var bytes = bytes
    let marks = Array("{}[]\",:0123456789-.eE\\u".utf8)
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      guard !bytes.isEmpty else { break }
      let place = Int.random(in: 0..<min(bytes.count, limit), using: &random)
      let end = min(place + Int.random(in: 1...20, using: &random), bytes.count)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[place] = .random(in: 0...255, using: &random)
      case 1: bytes[place] = marks.randomElement(using: &random) ?? 0
      case 2: bytes.removeSubrange(place..<end)
      case 3: bytes.insert(contentsOf: bytes[place..<end], at: place)
      case 4: bytes.insert(marks.randomElement(using: &random) ?? 0, at: place)
      default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      }
    }
    return bytes
  }
}

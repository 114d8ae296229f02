// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore
import TestSupport
import Testing

@Suite("Bytes as text")
struct ByteTextTests {
  @Test("come back, whatever they are")
  func roundTrip() {
    var generator = SeededGenerator(seed: 20_266)
    var inputs: [[UInt8]] = [
      [], [0xE9], [0x63, 0x61, 0x66, 0xC3], Array("café 陶".utf8), [0xED, 0xA0, 0x80], [0xFF, 0xFE],
      // The character that stands for the byte E9, in the input itself.
      Array("\u{10FFE9}".utf8), [0xF4, 0x8F, 0xBF],
    ]
    for _ in 0..<500 {
      inputs.append(
        (0..<Int.random(in: 0..<20, using: &generator)).map { _ in
          .random(in: 1...255, using: &generator)
        })
    }
    for bytes in inputs { #expect(ByteText.bytes(of: ByteText.text(of: bytes)) == bytes) }
    #expect(Set(inputs.map(ByteText.text)).count == Set(inputs).count)
  }

  @Test("are the text itself where they are UTF-8")
  func plain() {
    #expect(ByteText.text(of: Array("café/陶.kiln".utf8)) == "café/陶.kiln")
    #expect(!ByteText.hasStandIns("café"))
    #expect(ByteText.hasStandIns(ByteText.text(of: [0x61, 0xE9])))
  }

  @Test("show in a message what no other text shows")
  func message() {
    #expect("a\(ByteText.text(of: [0xE9]))b".asOneLine == "a\\xe9b")
  }

  @Test("give a path to the byte")
  func path() {
    let path = FilePath("folder").appending(argument: ByteText.text(of: [0x61, 0xE9]))
    let bytes = unsafe path.withPlatformString { start in
      (0..<path.length).map { unsafe UInt8(bitPattern: start[$0]) }
    }
    #expect(bytes == Array("folder/a".utf8) + [0xE9])
  }
}

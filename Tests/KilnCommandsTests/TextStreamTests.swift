// SPDX-License-Identifier: Apache-2.0

import KilnCommands
import Testing

/// Text from tokens that end in the middle of characters.
@Suite("Text as it comes")
struct TextStreamTests {
  @Test(
    "a character is shown when its last byte is there",
    arguments: ["a", "é", "陶", "🔥", "\u{7FF}", "\u{800}", "\u{FFFF}", "\u{10FFFF}"])
  func characters(_ character: String) {
    var stream = TextStream()
    let bytes = Array(character.utf8)
    for byte in bytes.dropLast() { #expect(stream.append([byte]).isEmpty) }
    #expect(stream.append([bytes[bytes.count - 1]]) == character)
    #expect(stream.finish().isEmpty)
  }

  @Test("pieces of any length give the text")
  func pieces() {
    let text = "Ofen: 陶 🔥🔥 é\n"
    let bytes = Array(text.utf8)
    for length in 1...7 {
      var stream = TextStream()
      var shown = ""
      for start in stride(from: 0, to: bytes.count, by: length) {
        shown += stream.append(Array(bytes[start..<min(start + length, bytes.count)]))
        #expect(text.hasPrefix(shown))
      }
      #expect(shown + stream.finish() == text)
    }
  }

  @Test("bytes that are no text are replaced at once, what is cut off only at the end")
  func broken() {
    var stream = TextStream()
    #expect(stream.append([0x61, 0xFF, 0x62]) == "a\u{FFFD}b")
    // Four bytes that continue nothing.
    #expect(stream.append([0x80, 0x80, 0x80, 0x80]) == String(repeating: "\u{FFFD}", count: 4))
    #expect(stream.append([0xF0, 0x9F]).isEmpty)
    #expect(stream.finish() == "\u{FFFD}")
    #expect(stream.finish().isEmpty)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Glibc
import TensorCore

/// The words of the command line.
enum ProcessArguments {
  /// What `--color` says, whether or not the rest of the line can be parsed: the message about that has colors, too.
  static func color(_ arguments: [String]) -> Terminal.ColorChoice {
    var choice: Terminal.ColorChoice?
    var words = arguments.prefix { $0 != "--" }
    while let word = words.popFirst() {
      if word == "--color" {
        choice = words.first.flatMap(Terminal.ColorChoice.init)
      } else if word.hasPrefix("--color=") {
        choice = Terminal.ColorChoice(rawValue: String(word.dropFirst("--color=".count)))
      }
    }
    return choice ?? .auto
  }

  /// Those behind the name of the program, as texts from which paths get every byte back (`ByteText`).
  static var all: [String] {
    (1..<max(Int(CommandLine.argc), 1)).compactMap { index in
      guard let word = unsafe CommandLine.unsafeArgv[index] else { return nil }
      let bytes = unsafe UnsafeBufferPointer(start: word, count: strlen(word))
      return unsafe ByteText.text(of: bytes.map { UInt8(bitPattern: $0) })
    }
  }
}

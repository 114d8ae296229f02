// SPDX-License-Identifier: Apache-2.0

import Glibc
import TensorCore

/// The words of the command line.
enum ProcessArguments {
  /// Those behind the name of the program, as texts from which paths get every byte back (`ByteText`).
  static var all: [String] {
    (1..<max(Int(CommandLine.argc), 1)).compactMap { index in
      guard let word = unsafe CommandLine.unsafeArgv[index] else { return nil }
      let bytes = unsafe UnsafeBufferPointer(start: word, count: strlen(word))
      return unsafe ByteText.text(of: bytes.map { UInt8(bitPattern: $0) })
    }
  }
}

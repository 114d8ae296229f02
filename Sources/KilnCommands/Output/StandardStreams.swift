// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reports
import SystemPackage
import TensorCore

/// Where results go.
enum StandardOutput {
  /// Whether a person reads it.
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Writes bytes.
  ///
  /// - Throws: `ClosedPipe` if the reader has gone, which ends a command quietly; `FileError` for anything else, such
  ///   as a full disk: a result that is lost is an error.
  static func write(_ bytes: [UInt8]) throws {
    var done = 0
    while done < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(
          STDOUT_FILENO, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
      }
      if written >= 0 {
        done += written
      } else if errno == EPIPE {
        throw ClosedPipe()
      } else if errno != EINTR {
        throw FileError.system("standard output", operation: "write", Errno(rawValue: errno))
      }
    }
  }
}

/// The reader of standard output wants no more: `kiln inspect --tensors | head -1`.
struct ClosedPipe: Error {}

/// Where logs, warnings and progress go.
enum StandardError {
  /// Writes a line, in ASCII if the terminal shows nothing else.
  static func print(_ line: String) {
    let terminal = Terminal.errors
    let shown = terminal.isTerminal && !terminal.isUTF8 ? line.asASCII : line
    StatusLine.shared.write(shown + "\n")
  }

  /// Writes a warning.
  static func warn(_ message: String) {
    print("kiln: warning: \(message.asOneLine)")
  }
}

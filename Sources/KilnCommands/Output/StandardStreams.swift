// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TensorCore

/// Where results go.
enum StandardOutput {
  /// Whether a person reads it.
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Writes bytes; a full disk or a closed pipe is an error, not a silent loss.
  static func write(_ bytes: [UInt8]) throws {
    var done = 0
    while done < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(
          STDOUT_FILENO, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
      }
      if written >= 0 {
        done += written
      } else if errno != EINTR {
        throw FileError.system("standard output", operation: "write", Errno(rawValue: errno))
      }
    }
  }
}

/// Where logs, warnings and progress go.
enum StandardError {
  /// Whether a person watches it.
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Writes a line.
  static func print(_ line: String) {
    write(line + "\n")
  }

  /// Writes text as it is.
  static func write(_ text: String) {
    var text = text
    text.withUTF8 { buffer in
      // Nothing sensible can be done if the log cannot be written.
      _ = unsafe Glibc.write(STDERR_FILENO, buffer.baseAddress, buffer.count)
    }
  }

  /// Writes a warning.
  static func warn(_ message: String) {
    print("kiln: warning: \(message.asOneLine)")
  }
}

// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reports
import Synchronization
import SystemPackage
import TensorCore

/// Where results go.
enum StandardOutput {
  /// Whether a person reads it.
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  private static let endsWithinLine = Atomic(false)

  /// Whether what a terminal was sent last is a text without an end of its line.
  static var isWithinLine: Bool { endsWithinLine.load(ordering: .relaxed) && isTerminal }

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
        if done > 0 {
          endsWithinLine.store(bytes[done - 1] != UInt8(ascii: "\n"), ordering: .relaxed)
        }
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
  private static let choice = Mutex(Terminal.ColorChoice.auto)

  /// When the words that begin errors and warnings are colored.
  static var color: Terminal.ColorChoice {
    get { choice.withLock(\.self) }
    set { choice.withLock { $0 = newValue } }
  }

  /// Writes a line, in ASCII if the terminal shows nothing else.
  static func print(_ line: String) {
    write(spelled(line))
  }

  /// Writes a warning.
  static func warn(_ message: String) {
    write(painted("kiln: warning:", .warning) + " " + spelled(message.asOneLine))
  }

  /// Writes what a command fails with.
  static func fail(_ message: String) {
    write(errorLine(message))
  }

  /// An error as a line.
  static func errorLine(_ message: String) -> String {
    painted("kiln:", .bad) + " " + spelled(message.asOneLine)
  }

  /// A text in the characters that a terminal has.
  static func spelled(_ text: String) -> String {
    let terminal = Terminal.errors
    return terminal.isTerminal && !terminal.isUTF8 ? text.asASCII : text
  }

  private static func painted(_ word: String, _ tone: Tone) -> String {
    TextStyle(width: nil, isColored: Terminal.errors.hasColors(color), isUnicode: true)
      .painted(word, tone)
  }

  private static func write(_ line: String) {
    // A text that an error ends, or a note follows, may have stopped anywhere.
    let start = StandardOutput.isWithinLine && Terminal.errors.isTerminal ? "\n" : ""
    StatusLine.shared.write("\(start)\(line)\n")
  }
}

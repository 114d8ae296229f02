// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Standard error, whose last line on a terminal may be one that is drawn over and over: the progress bar.
///
/// Whatever else is written removes the bar first, so no message is mixed up with one. All writers take turns.
package final class StatusLine: Sendable {
  /// That of the process.
  static let shared = StatusLine(descriptor: STDERR_FILENO)

  /// Clears from the cursor to the end of the screen.
  ///
  /// Never sent with the cursor in the upper left corner: tmux would then keep what it clears in its history.
  private static let clearingRest = "\u{1B}[J"
  /// Clears the bar and moves to where it started.
  private static let clearing = "\r \(clearingRest)\r"
  /// How long the end of a process waits for a terminal that takes nothing.
  private static let patienceInMilliseconds: Int32 = 200

  private let descriptor: Int32
  private struct State {
    /// Whether a bar is on the screen.
    var isDrawn = false
    /// Whether the last words of the process were written, after which no bar may come.
    var hasEnded = false
  }

  private let state = Mutex(State())

  package init(descriptor: Int32) {
    self.descriptor = descriptor
  }

  /// Draws the bar, over the one that is there.
  ///
  /// The cursor is left at the start of the line. When the terminal becomes narrower it wraps the line, and the
  /// cursor stays where the line starts, so that clearing from there removes every row of it; a terminal that
  /// cuts lines instead has its cursor in the same place.
  ///
  /// - Parameter text: One line, shorter than the terminal is wide.
  package func draw(_ text: String) {
    state.withLock { state in
      guard !state.hasEnded else { return }
      state.isDrawn = true
      send("\r" + (text.isEmpty ? " " : text) + Self.clearingRest + "\r")
    }
  }

  /// Removes the bar, if there is one.
  package func clear() { write("") }

  /// Writes text, below what was written before and in place of the bar.
  package func write(_ text: String) {
    state.withLock { state in
      let text = (state.isDrawn ? Self.clearing : "") + text
      state.isDrawn = false
      if !text.isEmpty { send(text) }
    }
  }

  /// Removes the bar and writes text, unless that would have to wait: for the end of a process, which must come
  /// even if nothing reads the other end of a pipe, or the terminal was stopped.
  ///
  /// - Parameters:
  ///   - text: The last words.
  ///   - startsLine: Whether the cursor of a terminal may be within a line, behind the echo of a Ctrl-C or behind
  ///     a text; where a bar was drawn it is not, since that leaves with the echo.
  package func writeAtOnce(_ text: String, startsLine: Bool = false) {
    // Whoever draws a bar at this moment is done in microseconds, unless the terminal was stopped.
    for _ in 0..<Self.patienceInMilliseconds {
      guard state.withLockIfAvailable({ end(&$0, with: text, startsLine) }) == nil else { return }
      usleep(1000)
    }
  }

  private func end(_ state: inout State, with text: String, _ startsLine: Bool) {
    let start =
      state.isDrawn ? Self.clearing : startsLine && isatty(descriptor) == 1 ? "\n" : ""
    let text = text.isEmpty && !state.isDrawn ? "" : start + text
    state = State(hasEnded: true)
    var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard !text.isEmpty, unsafe poll(&request, 1, Self.patienceInMilliseconds) == 1 else { return }
    send(text)
  }

  private func send(_ text: String) {
    var text = text
    text.withUTF8 { buffer in
      var done = 0
      while done < buffer.count {
        let written = unsafe Glibc.write(
          descriptor, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
        if written > 0 {
          done += written
        } else if written == 0 || errno != EINTR {
          // Nothing sensible can be done if the log cannot be written.
          return
        }
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A terminal that is no screen: a program writes to one end, and a test reads the other.
package final class PseudoTerminal: Sendable {
  /// The end that a test reads, as a terminal emulator would.
  package let emulator: Int32
  /// The end that a program takes for its terminal.
  package let user: Int32

  /// Why there is no terminal.
  package struct NotMade: Error {
    package let code: Int32
  }

  /// - Parameters:
  ///   - columns: Its width in cells.
  ///   - rows: Its height.
  /// - Throws: `NotMade`.
  package init(columns: Int, rows: Int = 24) throws {
    var (emulator, user): (Int32, Int32) = (-1, -1)
    guard unsafe openpty(&emulator, &user, nil, nil, nil) == 0 else { throw NotMade(code: errno) }
    for end in [emulator, user] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (self.emulator, self.user) = (emulator, user)
    resize(columns: columns, rows: rows)
  }

  deinit {
    close(emulator)
    close(user)
  }

  /// Gives the terminal another size, of which programs in it learn by SIGWINCH or by asking.
  package func resize(columns: Int, rows: Int = 24) {
    var size = winsize(
      ws_row: UInt16(clamping: rows), ws_col: UInt16(clamping: columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = unsafe ioctl(emulator, UInt(TIOCSWINSZ), &size)
  }
}

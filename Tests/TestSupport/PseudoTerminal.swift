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

  /// Where the end for a program is, for a redirection.
  package var path: String {
    var name = [CChar](repeating: 0, count: 128)
    guard unsafe ttyname_r(user, &name, name.count) == 0 else { return "/dev/null" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// What has come through so far, with the line ends that a terminal gets; waits so long for a first byte.
  package func read(milliseconds: Int32 = 0) -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 12)
    var patience = milliseconds
    while true {
      var request = pollfd(fd: emulator, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&request, 1, patience) == 1 else { break }
      let count = unsafe Glibc.read(emulator, &buffer, buffer.count)
      guard count > 0 else { break }
      bytes += buffer[..<count]
      patience = 0
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Gives the terminal another size, of which programs in it learn by SIGWINCH or by asking.
  package func resize(columns: Int, rows: Int = 24) {
    var size = winsize(
      ws_row: UInt16(clamping: rows), ws_col: UInt16(clamping: columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = unsafe ioctl(emulator, UInt(TIOCSWINSZ), &size)
  }
}

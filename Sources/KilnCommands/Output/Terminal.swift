// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a stream can show: whether it is a terminal, how wide that is now, its characters and colors.
///
/// Nothing is cached but the environment, so a terminal that is resized is seen as it is.
package struct Terminal: Sendable {
  /// Where results go.
  package static let output = Terminal(descriptor: STDOUT_FILENO)
  /// Where logs, warnings and progress go.
  package static let errors = Terminal(descriptor: STDERR_FILENO)

  /// When text is colored.
  package enum ColorChoice: String, CaseIterable, Sendable {
    case auto
    case always
    case never
  }

  /// The width of a terminal that does not say how wide it is, in cells.
  package static let defaultWidth = 80
  /// Wider than any screen: a width beyond it is a mistake, and would cost memory.
  package static let largestWidth = 10_000

  private let descriptor: Int32
  private let environment: Environment

  /// - Parameters:
  ///   - descriptor: The stream's file descriptor.
  ///   - environment: Where `TERM`, `COLUMNS`, `NO_COLOR` and the locale are looked up.
  package init(descriptor: Int32, environment: Environment = .process) {
    self.descriptor = descriptor
    self.environment = environment
  }

  /// Whether a person watches the stream.
  package var isTerminal: Bool { isatty(descriptor) == 1 }

  /// The width in cells, at least 1: what the terminal says now, else `COLUMNS`, else 80.
  ///
  /// A pipe or a file has no width; there it is `COLUMNS` or 80, which only matters to those who ask.
  package var width: Int {
    var size = winsize()
    if unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 {
      return min(Int(size.ws_col), Self.largestWidth)
    }
    guard let columns = environment["COLUMNS"].flatMap({ Int($0) }), columns > 0 else {
      return Self.defaultWidth
    }
    return min(columns, Self.largestWidth)
  }

  /// Whether text may hold other characters than ASCII, by the name of the locale.
  ///
  /// The name decides, and not whether the system has that locale installed: that it is missing in a
  /// container says nothing about the terminal outside.
  package var isUTF8: Bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first
    guard let codeset = locale?.lowercased().split(separator: ".").dropFirst().first else {
      return false
    }
    // What follows "@" is a variant, as in "de_DE.UTF-8@euro".
    return ["utf-8", "utf8"].contains(codeset.prefix { $0 != "@" })
  }

  /// Whether the terminal says that it knows no control sequences, or does not say what it is.
  package var isDumb: Bool { (environment["TERM"] ?? "dumb") == "dumb" }

  /// Whether lines can be drawn over: a terminal that knows control sequences.
  package var canRedraw: Bool { isTerminal && !isDumb }

  /// Whether text is colored.
  ///
  /// With `auto`, a terminal that knows control sequences gets colors unless `NO_COLOR` is set to
  /// anything but the empty string (https://no-color.org).
  package func hasColors(_ choice: ColorChoice) -> Bool {
    switch choice {
    case .always: true
    case .never: false
    case .auto: canRedraw && environment["NO_COLOR"] == nil
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import KilnCommands
import TestSupport
import Testing

@Suite("The line that is drawn over")
struct StatusLineTests {
  @Test(
    "leaves no row behind when the terminal is resized", arguments: TerminalScreen.Resizing.allCases
  )
  func resizing(_ resizing: TerminalScreen.Resizing) throws {
    let pseudo = try PseudoTerminal(columns: 80)
    let status = StatusLine(descriptor: pseudo.user)
    var screen = TerminalScreen(columns: 80, resizing: resizing)
    status.write("before\n")
    for columns in [80, 60, 25, 200, 40, 10, 80] {
      pseudo.resize(columns: columns)
      screen.resize(columns: columns)
      // The first is drawn right after the resize, the second over it.
      for mark in ["x", "y"] {
        let line = String(repeating: mark, count: columns - 1)
        status.draw(line)
        screen.show(pseudo.read(milliseconds: 200))
        #expect(screen.lines.suffix(1) == [line])
        #expect(screen.lines.count == (resizing == .cuts ? 2 : ("before".count - 1) / columns + 2))
      }
    }
    status.clear()
    screen.show(pseudo.read(milliseconds: 200))
    #expect(screen.lines == ["before"])
  }

  @Test("makes way for a message, which begins on a clean row")
  func message() throws {
    let pseudo = try PseudoTerminal(columns: 80)
    let status = StatusLine(descriptor: pseudo.user)
    var screen = TerminalScreen(columns: 80, resizing: .wraps)
    status.draw("a long bar with many words")
    status.write("kiln: warning: short\n")
    status.draw("bar")
    screen.show(pseudo.read(milliseconds: 200))
    #expect(screen.lines == ["kiln: warning: short", "bar"])
    status.writeAtOnce("kiln: interrupted\n")
    screen.show(pseudo.read(milliseconds: 200))
    #expect(screen.lines == ["kiln: warning: short", "kiln: interrupted"])
  }

  @Test("ends below what a terminal shows within a line, unless a bar leaves with it")
  func lastWords() throws {
    for isDrawn in [false, true] {
      let pseudo = try PseudoTerminal(columns: 80)
      let status = StatusLine(descriptor: pseudo.user)
      var screen = TerminalScreen(columns: 80, resizing: .wraps)
      if isDrawn { status.draw("bar") }
      screen.show(pseudo.read(milliseconds: 200) + "^C")
      status.writeAtOnce("kiln: interrupted\n", startsLine: true)
      screen.show(pseudo.read(milliseconds: 200))
      #expect(screen.lines == (isDrawn ? [] : ["^C"]) + ["kiln: interrupted"])
    }
  }

  @Test("writes no control sequence unless something was drawn")
  func plain() throws {
    let pseudo = try PseudoTerminal(columns: 80)
    let status = StatusLine(descriptor: pseudo.user)
    status.write("one\n")
    status.clear()
    status.writeAtOnce("two\n")
    #expect(pseudo.read(milliseconds: 200) == "one\r\ntwo\r\n")
  }
}

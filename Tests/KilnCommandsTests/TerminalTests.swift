// SPDX-License-Identifier: Apache-2.0

import KilnCommands
import TestSupport
import Testing

@Suite("What is known of a terminal")
struct TerminalTests {
  @Test("follows a resize, and falls back on COLUMNS and 80 where it has no width")
  func width() throws {
    let pseudo = try PseudoTerminal(columns: 60)
    let terminal = Terminal(descriptor: pseudo.user, environment: ["COLUMNS": "33"])
    #expect(terminal.isTerminal)
    #expect(terminal.width == 60)
    pseudo.resize(columns: 200)
    #expect(terminal.width == 200)
    pseudo.resize(columns: 0)
    #expect(terminal.width == 33)
    for bad in ["0", "-5", "x", ""] {
      #expect(Terminal(descriptor: pseudo.user, environment: ["COLUMNS": bad]).width == 80)
    }
    #expect(Terminal(descriptor: -1, environment: ["COLUMNS": "9999999999"]).width == 10_000)
  }

  @Test(
    "takes its characters from the first locale variable that is set",
    arguments: [
      (["LANG": "en_US.UTF-8"], true), (["LANG": "C.utf8"], true), (["LANG": "en_US"], false),
      (["LC_ALL": "C", "LANG": "en_US.UTF-8"], false), ([:], false), (["LANG": "POSIX"], false),
      (["LC_CTYPE": "de_DE.UTF-8@euro", "LANG": "C"], true),
      (["LC_ALL": "", "LC_CTYPE": "en_US.UTF-8"], true),
      (["LANG": "de_DE.ISO-8859-1"], false),
    ] as [(Environment, Bool)])
  func locale(_ environment: Environment, _ isUTF8: Bool) {
    #expect(Terminal(descriptor: 1, environment: environment).isUTF8 == isUTF8)
  }

  @Test("has colors by request, or if it knows control sequences and NO_COLOR is empty")
  func colors() throws {
    let pseudo = try PseudoTerminal(columns: 80)
    func colors(_ environment: Environment, _ choice: Terminal.ColorChoice = .auto) -> Bool {
      Terminal(descriptor: pseudo.user, environment: environment).hasColors(choice)
    }
    #expect(colors(["TERM": "xterm"]))
    #expect(colors(["TERM": "xterm", "NO_COLOR": ""]))
    #expect(!colors(["TERM": "xterm", "NO_COLOR": "0"]))
    #expect(!colors(["TERM": "dumb"]))
    #expect(!colors([:]))
    #expect(colors(["TERM": "dumb", "NO_COLOR": "1"], .always))
    #expect(!colors(["TERM": "xterm"], .never))
    #expect(!Terminal(descriptor: -1, environment: ["TERM": "xterm"]).hasColors(.auto))
  }
}

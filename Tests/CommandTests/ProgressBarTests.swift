// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// The tool with its standard error on a pseudo-terminal, of which a screen is kept.
@Suite("Progress")
struct ProgressBarTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(String(repeating: Fixture.text, count: 4), to: "text.txt")
    try scratch.write(String(repeating: Fixture.text, count: 400), to: "long.txt")
  }

  private static let gptq = [
    "quantize", "model", "out.kiln", "--scheme", "int4-g32", "--method", "gptq", "--calibration",
    "text.txt", "--calibration-windows", "8", "--calibration-context", "64", "--force",
  ]
  private static let calibrate = [
    "calibrate", "model", "out.calibration", "--calibration", "text.txt",
    "--calibration-context", "64", "--force",
  ]
  private static let saving = [
    "perplexity", "model", "--text", "long.txt", "--save-base", "out.base", "--force",
  ]
  private static let commands = [
    gptq, ["perplexity", "model", "--text", "text.txt", "--context", "64"],
    ["quantize", "model", "out.kiln", "--scheme", "int4-g32", "--method", "search", "--force"],
    ["verify", "model"], ["inspect", "model", "--stats"],
  ]

  /// What a terminal saw of a run.
  private struct Session {
    /// Everything that was written to it.
    var text = ""
    /// Most rows that showed something at one time.
    var mostLines = 0
    /// Bars that were seen.
    var bars: [String] = []
    /// What is left at the end.
    var lines: [String] = []
    let result: Tool.Result
  }

  /// Runs a command on a terminal that takes widths in turn, another one after each bar.
  private func run(
    _ arguments: [String], widths: [Int] = [80], resizing: TerminalScreen.Resizing = .wraps,
    environment: [String: String] = [:], redirection: String = ""
  ) throws -> Session {
    let terminal = try PseudoTerminal(columns: widths[0])
    var screen = TerminalScreen(columns: widths[0], resizing: resizing)
    let plain = ["TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "COLUMNS": ""]
    let running = try Tool.start(
      arguments, in: scratch.folder, environment: plain.merging(environment) { $1 },
      redirection: "2>\(terminal.path) \(redirection)")
    var (text, mostLines, bars, resizes) = ("", 0, [String](), 0)
    while true {
      let isRunning = running.isRunning
      // What a program wrote last comes through a moment after its end.
      let piece = terminal.read(milliseconds: isRunning ? 20 : 200)
      text += piece
      screen.show(piece)
      mostLines = max(mostLines, screen.lines.count)
      if !piece.isEmpty { bars += screen.lines.suffix(1) }
      guard isRunning || !piece.isEmpty else { break }
      if !piece.isEmpty, widths.count > 1 {
        resizes += 1
        let columns = widths[resizes % widths.count]
        terminal.resize(columns: columns)
        screen.resize(columns: columns)
        // What the program wrote before it saw the new width counts as written after it.
      }
    }
    return Session(
      text: text, mostLines: mostLines, bars: bars, lines: screen.lines,
      result: try running.wait())
  }

  @Test("leaves no row behind, at any width", arguments: commands, [30, 60, 80, 200])
  func widths(_ arguments: [String], _ width: Int) throws {
    let session = try run(arguments, widths: [width])
    #expect(session.result.status == 0, "\(session.text)")
    #expect(session.mostLines <= 1, "\(session.bars)")
    #expect(session.lines.allSatisfy { $0.contains("took") }, "\(session.lines)")
    // The others may be done before there is anything to show.
    #expect(
      arguments != Self.gptq || session.bars.contains { $0.contains(" %") }, "\(session.text)")
    #expect(session.bars.allSatisfy { $0.count < width }, "\(session.bars)")
  }

  @Test(
    "goes on in one row in a terminal that is resized", arguments: TerminalScreen.Resizing.allCases)
  func resizing(_ resizing: TerminalScreen.Resizing) throws {
    let session = try run(Self.gptq, widths: [80, 40, 200, 25, 60], resizing: resizing)
    #expect(session.result.status == 0)
    #expect(session.lines.allSatisfy { $0.contains("took") }, "\(session.lines)")
  }

  @Test("has plain lines on a terminal that knows no control sequences", arguments: ["dumb", ""])
  func dumb(_ name: String) throws {
    let session = try run(Self.gptq, environment: ["TERM": name])
    #expect(session.result.status == 0)
    #expect(!session.text.contains("\u{1B}"), "\(session.text)")
    #expect(!session.text.contains("█"))
  }

  @Test("has plain lines where they are asked for")
  func plain() throws {
    #expect(try !run(Self.gptq + ["--progress", "plain"]).text.contains("\u{1B}"))
    #expect(try run(Self.gptq + ["--progress", "none"]).text.isEmpty)
    #expect(try run(Self.gptq + ["--quiet"]).text.isEmpty)
  }

  @Test("is ASCII in a locale that has no more", arguments: ["C", "POSIX", "de_DE.ISO-8859-1"])
  func ascii(_ locale: String) throws {
    let session = try run(Self.gptq, environment: ["LC_ALL": locale])
    #expect(session.text.utf8.allSatisfy { $0 < 0x80 })
    #expect(session.bars.contains { $0.contains("--") || $0.contains("##") }, "\(session.bars)")
  }

  @Test("of a terminal that reports no width fits 80 columns")
  func noWidth() throws {
    let session = try run(Self.gptq, widths: [200])
    #expect(session.bars.contains { $0.count > 80 })
    let terminal = try PseudoTerminal(columns: 0)
    let result = try Tool.run(
      Self.gptq, in: scratch.folder,
      environment: ["TERM": "xterm", "LC_ALL": "C.UTF-8", "COLUMNS": ""],
      redirection: "2>\(terminal.path)")
    #expect(result.status == 0)
    let longest = terminal.read(milliseconds: 200).split(separator: "\r").map(\.count).max() ?? 0
    // The sequence that clears has three characters.
    #expect((20...82).contains(longest))
  }

  @Test("goes forward within a layer of a calibration, and never back")
  func forward() throws {
    let session = try run(Self.gptq, widths: [200])
    let bars = session.text.matches(of: #/([a-z]+) [█░]+ ([0-9.]+) %/#)
    // A check of the weights may come before it.
    let shares = bars.filter { $0.1 == "quantize" }.compactMap { Double($0.2) }
    #expect(shares == shares.sorted(), "\(shares)")
    #expect(
      session.text.contains(#/layer [0-9]+, [1-9][0-9]* of [0-9]+ matrices/#), "\(session.bars)")
  }

  @Test(
    "makes way for the last words of a command that is interrupted",
    arguments: [SIGINT, SIGTERM, SIGHUP])
  func interruption(_ signal: Int32) throws {
    let terminal = try PseudoTerminal(columns: 80)
    var screen = TerminalScreen(columns: 80, resizing: .wraps)
    let running = try Tool.start(
      Self.gptq, in: scratch.folder, environment: ["TERM": "xterm", "LC_ALL": "C.UTF-8"],
      redirection: "2>\(terminal.path)")
    while running.isRunning, !screen.lines.contains(where: { $0.contains("matrices") }) {
      screen.show(terminal.read(milliseconds: 20))
    }
    running.send(signal)
    let result = try running.wait()
    screen.show(terminal.read(milliseconds: 200))
    #expect(result.status == 128 + signal)
    #expect(
      screen.lines.joined()
        == "kiln: interrupted; nothing was written (--resume keeps finished tensors)")
    #expect(try scratch.listing().allSatisfy { !$0.contains("out.kiln") })
  }

  @Test(
    "is not needed for last words on a line of their own",
    arguments: [["--progress", "none"], ["--progress", "plain"]])
  func interruptionWithoutBar(_ flags: [String]) throws {
    for command in [Self.gptq, Self.calibrate, Self.saving] {
      let terminal = try PseudoTerminal(columns: 200)
      let running = try Tool.start(
        command + flags, in: scratch.folder, environment: ["TERM": "xterm", "LC_ALL": "C.UTF-8"],
        redirection: "2>\(terminal.path)")
      var text = ""
      let start = Date()
      while running.isRunning, Date().timeIntervalSince(start) < 0.3 {
        text += terminal.read(milliseconds: 20)
      }
      running.send(SIGINT)
      let result = try running.wait()
      text += terminal.read(milliseconds: 200)
      guard result.status == 128 + SIGINT else {
        Issue.record("the signal came too late: \(command)")
        continue
      }
      #expect(
        text.contains("\r\nkiln: interrupted; nothing was written"), "\(text.debugDescription)")
    }
  }
}

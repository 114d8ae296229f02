// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// Signals at moments that a seed decides.
///
/// A run that ends before its signal is no failure, so each
/// test takes many moments and asks that some signals came in time.
@Suite("Interruption", .serialized)
struct InterruptionTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.link(Fixture.packed(), as: "in.kiln")
    try scratch.write(String(repeating: Fixture.text, count: 20), to: "text.txt")
  }

  /// Starts a command, sends it a signal as soon as it writes or after a pause, and looks around.
  ///
  /// - Parameters:
  ///   - arguments: The command.
  ///   - signal: The signal.
  ///   - seconds: The pause; nil to stop the command first, so that it cannot end before the signal.
  /// - Returns: Whether the signal came in time.
  /// - Throws: If the tool cannot be started.
  private func interrupt(
    _ arguments: [String], with signal: Int32, after seconds: Double?
  ) throws -> Bool {
    let running = try Tool.start(arguments + ["--force"], in: scratch.folder)
    let deadline = Date().addingTimeInterval(2)
    // The temporary output shows that work has begun.
    while running.isRunning, Date() < deadline,
      try !scratch.listing().contains(where: { $0.contains("partial") })
    {
      usleep(500)
    }
    if let seconds { usleep(UInt32(seconds * 1e6)) } else { _ = running.suspend() }
    running.send(signal)
    running.send(SIGCONT)
    let result = try running.wait()
    #expect([0, 128 + signal].contains(result.status), "\(arguments): \(result.errors)")
    #expect(try scratch.listing().allSatisfy { !$0.contains("partial") }, "\(arguments)")
    if result.status != 0 {
      #expect(result.messages.count == 1)
      #expect(result.messages.first?.hasPrefix("kiln: interrupted") == true, "\(result.errors)")
    }
    return result.status != 0
  }

  @Test("leaves nothing behind, and the old output alone", arguments: [SIGINT, SIGTERM, SIGHUP])
  func signals(_ signal: Int32) throws {
    var generator = SeededGenerator(seed: 20_263)
    for (arguments, output) in [
      (
        ["quantize", "model", "out.kiln", "--scheme", "int4-g32", "--method", "search"], "out.kiln"
      ),
      (["convert", "model", "out.kiln"], "out.kiln"), (["convert", "in.kiln", "out"], "out/old"),
      (["perplexity", "model", "--text", "text.txt", "--token-log", "log.csv"], "log.csv"),
    ] {
      var caught = 0
      for attempt in 0..<4 {
        try? FileManager.default.removeItem(at: scratch.url("out"))
        if output.contains("/") {
          try FileManager.default.createDirectory(
            at: scratch.url("out"), withIntermediateDirectories: false)
        }
        try scratch.write("precious", to: output)
        let isCaught = try interrupt(
          arguments, with: signal,
          after: attempt == 0 ? nil : .random(in: 0..<0.01, using: &generator))
        if isCaught {
          caught += 1
          // The old output, or the new one if the signal came after it was complete.
          let old = try? String(contentsOf: scratch.url(output), encoding: .utf8)
          let isNew = old == nil || (try? Data(contentsOf: scratch.url(output)).count) ?? 0 > 100
          #expect(old == "precious" || isNew)
        }
      }
      #expect(caught > 0, "\(arguments): every signal came too late")
    }
  }

  @Test("says what is kept and how to go on", arguments: [false, true])
  func kept(_ isQuiet: Bool) throws {
    let arguments =
      [
        "quantize", "model", "out.kiln", "--scheme", "int4-g32", "--method", "gptq",
        "--calibration",
        "text.txt", "--calibration-windows", "8", "--calibration-context", "64", "--resume",
      ] + (isQuiet ? ["--quiet"] : [])
    let running = try Tool.start(arguments, in: scratch.folder)
    // The journal has a line for each tensor that is complete, below its title.
    func lineCount() -> Int {
      let journal =
        (try? String(contentsOf: scratch.url(".out.kiln.journal"), encoding: .utf8)) ?? ""
      return journal.count { $0 == "\n" }
    }
    while running.isRunning, lineCount() < 20 { usleep(1_000) }
    running.send(SIGINT)
    let result = try running.wait()
    try #require(result.status == 128 + SIGINT, "the signal came too late: \(result.errors)")
    let path = scratch.path(".out.kiln.partial")
    #expect(FileManager.default.fileExists(atPath: path))
    if isQuiet {
      #expect(result.errors.isEmpty, "\(result.errors)")
    } else {
      let line = try #require(result.messages.last)
      let match = try #require(
        try #/kiln: interrupted; (\d+) of (\d+) tensors are kept in \.out\.kiln\.partial; run .*/#
          .wholeMatch(in: line), "\(line)")
      let (completed, total) = (Int(match.1) ?? 0, Int(match.2) ?? 0)
      #expect(completed > 0 && completed < total)
      let resumed = try Tool.run(arguments, in: scratch.folder)
      #expect(resumed.status == 0)
      let reused = resumed.messages.first { $0.hasPrefix("kiln: resumed: ") } ?? ""
      #expect(reused.contains("\(completed) of \(total) "), "\(resumed.errors)")
    }
  }

  @Test("a signal while files that stay are linked leaves no folder behind, and all of them")
  func linking() throws {
    let names = (0..<3000).map { "stays-\(10_000 + $0)" }
    try FileManager.default.createDirectory(
      at: scratch.url("out"), withIntermediateDirectories: false)
    for name in names { try scratch.write("precious", to: "out/\(name)") }
    for _ in 0..<4 {
      let running = try Tool.start(["convert", "in.kiln", "out", "--force"], in: scratch.folder)
      while running.isRunning {
        let folder = try FileManager.default.contentsOfDirectory(atPath: scratch.folder.path)
          .first { $0.contains("partial") }
        // Names are linked in their order, so that the first shows that it has begun.
        if let folder, unsafe access(scratch.path("\(folder)/\(names[0])"), F_OK) == 0 { break }
        usleep(500)
      }
      running.send(SIGTERM)
      let result = try running.wait()
      #expect([0, 128 + SIGTERM].contains(result.status), "\(result.errors)")
      let left = try FileManager.default.contentsOfDirectory(atPath: scratch.folder.path)
      #expect(left.allSatisfy { !$0.contains("partial") }, "status \(result.status)")
      let kept = Set(try FileManager.default.contentsOfDirectory(atPath: scratch.path("out")))
      #expect(kept.isSuperset(of: names))
    }
  }

  @Test("a file that becomes shorter while it is read is an error, not SIGBUS")
  func shrinkingFile() throws {
    var generator = SeededGenerator(seed: 20_264)
    var found = 0
    for round in 0..<12 {
      try? FileManager.default.removeItem(at: scratch.url("model"))
      try scratch.nano(changing: "model.safetensors")
      let arguments = [
        ["convert", "model", "out.kiln", "--force"], ["inspect", "model", "--stats"],
        ["quantize", "model", "out.kiln", "--scheme", "int4-g32", "--force"],
      ][round % 3]
      let running = try Tool.start(arguments, in: scratch.folder)
      usleep(.random(in: 5_000..<40_000, using: &generator))
      unsafe truncate(scratch.path("model/model.safetensors"), 100_000)
      let result = try running.wait()
      #expect([0, Code.badData, Code.inputOutput].contains(result.status), "\(result.errors)")
      if result.status != 0 {
        found += 1
        #expect(result.messages.count == 1)
        #expect(result.messages.first?.contains("model.safetensors") == true)
      }
      #expect(try scratch.listing().allSatisfy { !$0.contains("partial") })
    }
    #expect(found > 0)
  }

  @Test("a program that was told to ignore SIGHUP does")
  func nohup() throws {
    let running = try Tool.start(
      [
        "-c",
        "trap '' HUP; : > ready; exec \"$0\" quantize model out.kiln --scheme int4-g32",
        Tool.binary.path,
      ],
      in: scratch.folder, program: "/bin/sh")
    while running.isRunning, try !scratch.listing().contains("ready") { usleep(1_000) }
    for _ in 0..<10 {
      running.send(SIGHUP)
      usleep(10_000)
    }
    let result = try running.wait()
    #expect(result.status == 0, "\(result.errors)")
  }
}

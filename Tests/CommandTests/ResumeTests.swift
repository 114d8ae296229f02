// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// Runs that are killed and go on.
@Suite("Resuming", .serialized)
struct ResumeTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.link(Fixture.packed(), as: "in.kiln")
    try scratch.write(Fixture.text, to: "text.txt")
  }

  /// Every file of an output, by name.
  private func contents(_ name: String) throws -> [String: Data] {
    let manager = FileManager.default
    var isFolder: ObjCBool = false
    try unsafe #require(manager.fileExists(atPath: scratch.path(name), isDirectory: &isFolder))
    let names =
      isFolder.boolValue
      ? try manager.contentsOfDirectory(atPath: scratch.path(name)).map { "\(name)/\($0)" } : [name]
    return try names.reduce(into: [:]) { files, file in
      files[String(file.dropFirst(name.count))] = try Data(contentsOf: scratch.url(file))
    }
  }

  /// Starts a command, kills it once its journal has some bytes, and says whether that was in time.
  private func killed(_ arguments: [String], output: String, journalBytes: Int) throws -> Bool {
    let running = try Tool.start(arguments, in: scratch.folder)
    let journal = scratch.path(".\(output).journal")
    while running.isRunning {
      var status = stat()
      if unsafe stat(journal, &status) == 0, status.st_size >= journalBytes { break }
      usleep(100)
    }
    running.send(SIGKILL)
    return try running.wait().status != 0
  }

  @Test(
    "what was killed is completed to the same bytes",
    arguments: [
      ["quantize", "model", "OUT", "--scheme", "int4-g32", "--method", "search"],
      ["quantize", "model", "OUT", "--scheme", "int4-g32", "--shard-size", "1MB"],
      [
        "quantize", "model", "OUT", "--scheme", "int4-g32", "--method", "gptq", "--calibration",
        "text.txt", "--calibration-context", "64",
      ],
      ["convert", "model", "OUT", "--compress", "zstd"],
      ["convert", "in.kiln", "OUT", "--shard-size", "2MB"],
    ])
  func kills(_ command: [String]) throws {
    func arguments(_ output: String, _ more: String...) -> [String] {
      command.map { $0 == "OUT" ? output : $0 } + more
    }
    try Tool.run(arguments("whole"), in: scratch.folder)
    let whole = try contents("whole")
    var generator = SeededGenerator(seed: 20_264)
    var kills = 0
    for round in 0..<4 {
      // The first run may know nothing of resuming; a second one is killed, too.
      for more in [[], ["--resume"]] {
        let bytes = Int.random(in: 50...20_000, using: &generator)
        if try killed(arguments("part") + more, output: "part", journalBytes: bytes) { kills += 1 }
        if FileManager.default.fileExists(atPath: scratch.path("part")) { break }
      }
      let result = try Tool.run(arguments("part", "--resume", "--force"), in: scratch.folder)
      #expect(result.status == 0, "\(result.errors)")
      #expect(try contents("part") == whole, "round \(round)")
      #expect(try scratch.listing().allSatisfy { !$0.hasPrefix(".part") })
      try FileManager.default.removeItem(at: scratch.url("part"))
    }
    #expect(kills > 0)
  }

  @Test("of several files, those that are complete are taken over")
  func laterFiles() throws {
    for command in [
      ["quantize", "model", "part", "--scheme", "int4-g32", "--shard-size", "200KB"],
      ["convert", "in.kiln", "part", "--shard-size", "300KB"],
    ] {
      // Of some fifty files, a few are there when the kill comes.
      let running = try Tool.start(command + ["--resume"], in: scratch.folder)
      while running.isRunning {
        let names = try? FileManager.default.contentsOfDirectory(
          atPath: scratch.path(".part.partial"))
        if names?.count(where: { $0.hasPrefix("model-000") }) ?? 0 >= 5 { break }
      }
      running.send(SIGKILL)
      guard try running.wait().status != 0 else { continue }
      let result = try Tool.run(command + ["--resume", "--json"], in: scratch.folder)
      let resumed = try #require(try result.json()["resumed_tensors"] as? Int)
      #expect(result.status == 0 && resumed >= 4, "\(resumed): \(result.errors)")
      try FileManager.default.removeItem(at: scratch.url("part"))
    }
  }

  @Test("what is between the entries is looked at, too")
  func padding() throws {
    let command = ["quantize", "model", "part", "--scheme", "int4-g32", "--resume"]
    guard try killed(command, output: "part", journalBytes: 9000) else { return }
    try scratch.edit(".part.partial") { bytes in
      // The prelude and the header are written last, so here is nothing yet.
      let zeros = bytes.indices.dropFirst(4096 * 20).filter { bytes[$0] == 0 }
      for index in zeros.prefix(2000) where index % 64 > 60 { bytes[index] = 1 }
    }
    #expect(try Tool.run(command, in: scratch.folder).status == 0)
    try expectSuccess(["verify", "part"], in: scratch.folder)
  }

  @Test("a journal of another job, or of a source that changed, is not believed")
  func otherJobs() throws {
    let int4 = ["quantize", "model", "out", "--scheme", "int4-g32"]
    let int8 = ["quantize", "model", "out", "--scheme", "int8-g32"]
    try Tool.run(int8.map { $0 == "out" ? "expected" : $0 }, in: scratch.folder)
    guard try killed(int4, output: "out", journalBytes: 2000) else { return }
    let result = try Tool.run(int8 + ["--resume"], in: scratch.folder)
    #expect(result.status == 0 && !result.errors.contains("resumed"))
    #expect(try contents("out").values.first == contents("expected").values.first)
  }

  @Test("an interrupted run keeps its work only if it is to be resumed")
  func interrupted() throws {
    let command = ["quantize", "model", "out", "--scheme", "int4-g32", "--method", "search"]
    for (more, isKept) in [([], false), (["--resume"], true)] {
      let running = try Tool.start(command + more, in: scratch.folder)
      while running.isRunning, try !scratch.listing().contains(".out.partial") { usleep(200) }
      running.send(SIGINT)
      guard try running.wait().status != 0 else { continue }
      #expect(try scratch.listing().contains(".out.partial") == isKept)
    }
  }

  @Test("an input under the hidden name of the output is not touched")
  func hiddenInput() throws {
    for name in [".out.kiln.partial", ".out.kiln.journal"] {
      try scratch.link(Fixture.packed(), as: name, isCopy: true)
      try expectFailure(
        ["convert", name, "out.kiln"], Code.cannotCreate, naming: "out.kiln", in: scratch)
      #expect(try Data(contentsOf: scratch.url(name)) == Data(contentsOf: Fixture.packed()))
      try FileManager.default.removeItem(at: scratch.url(name))
    }
  }

  @Test("two runs do not write the same output at a time")
  func locked() throws {
    let command = ["quantize", "model", "out", "--scheme", "int4-g32", "--method", "search"]
    for _ in 0..<20 {
      let running = try Tool.start(command, in: scratch.folder)
      // The journal is begun once the output is locked.
      while running.isRunning, try !scratch.listing().contains(".out.journal") { usleep(200) }
      // It may have been faster than the signal.
      let isStopped = try running.suspend() && scratch.listing().contains(".out.partial")
      if isStopped {
        for more in [[], ["--resume"], ["--force"]] {
          try expectFailure(
            command + more, Code.cannotCreate, naming: "another process", in: scratch)
        }
      }
      running.send(SIGCONT)
      #expect(try running.wait().status == 0)
      if isStopped { return }
      try FileManager.default.removeItem(at: scratch.url("out"))
    }
    Issue.record("no run was stopped while it wrote")
  }
}

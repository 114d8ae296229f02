// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import KilnFormat
import SystemPackage
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

  /// Runs a command on `in.kiln` while one of its tensors is damaged, so that it ends there, however fast the machine
  /// is; then the file is sound again, and as old as it was.
  private func fail(
    _ arguments: [String], of source: URL? = nil, atTensor place: (_ count: Int) -> Int
  ) throws {
    // A copy: the file itself is shared.
    try scratch.link(source ?? Fixture.packed(), as: "in.kiln", isCopy: true)
    let tensors = try KilnFile(FilePath(scratch.path("in.kiln"))).header.tensors
    let offset = tensors[place(tensors.count)].extent.range.lowerBound
    try flip(offset)
    let result = try Tool.run(arguments, in: scratch.folder)
    #expect(result.status == Code.badData, "\(result.errors)")
    try flip(offset)
  }

  /// Changes a byte of `in.kiln` where it is, and says that this was long ago.
  private func flip(_ offset: Int) throws {
    let file = try FileHandle(forUpdating: scratch.url("in.kiln"))
    try file.seek(toOffset: UInt64(offset))
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: Data([byte ^ 0x10]))
    try file.close()
    try setTime(1_700_000_000)
  }

  /// Says when `in.kiln` was changed.
  private func setTime(_ seconds: Double) throws {
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: seconds)],
      ofItemAtPath: scratch.path("in.kiln"))
  }

  /// Goes on with a command.
  ///
  /// - Returns: Tensors that were taken over.
  private func resumed(_ command: [String]) throws -> Int {
    let result = try Tool.run(command + ["--resume", "--json"], in: scratch.folder)
    #expect(result.status == 0, "\(result.errors)")
    return try #require(try result.json()["resumed_tensors"] as? Int)
  }

  @Test(
    "of several files, those that are complete are taken over",
    arguments: [
      ["quantize", "in.kiln", "OUT", "--scheme", "int4-g32", "--shard-size", "200KB"],
      ["convert", "in.kiln", "OUT", "--shard-size", "300KB"],
    ])
  func laterFiles(_ command: [String]) throws {
    let part = command.map { $0 == "OUT" ? "part" : $0 }
    try fail(part + ["--resume"]) { $0 * 4 / 5 }
    let names = try scratch.listing().filter { $0.hasPrefix(".part.partial/model-0") }
    #expect(names.count >= 5)
    let resumed = try resumed(part)
    #expect(resumed >= names.count - 1, "\(resumed)")
    try expectSuccess(command.map { $0 == "OUT" ? "whole" : $0 }, in: scratch.folder)
    #expect(try contents("part") == contents("whole"))
  }

  @Test(
    "files that lost their ends are written again",
    arguments: [
      ["quantize", "in.kiln", "OUT", "--scheme", "int4-g32", "--shard-size", "200KB"],
      ["convert", "in.kiln", "OUT", "--shard-size", "300KB"],
    ])
  func cutFiles(_ command: [String]) throws {
    let part = command.map { $0 == "OUT" ? "part" : $0 }
    try fail(part + ["--resume"]) { $0 * 4 / 5 }
    let names = try scratch.listing().filter { $0.hasPrefix(".part.partial/model-0") }
    // The journal tells of more tensors than the second file has now.
    let name = try #require(names.sorted().dropFirst().first)
    try scratch.edit(name) { $0.removeLast($0.count / 2) }
    _ = try resumed(part)
    try expectSuccess(command.map { $0 == "OUT" ? "whole" : $0 }, in: scratch.folder)
    #expect(try contents("part") == contents("whole"))
  }

  @Test(
    "of a file that was being written and lost its end, the rest is kept",
    arguments: [
      (["quantize", "in.kiln", "OUT", "--scheme", "int4-g32"], ".part.partial"),
      (["convert", "in.kiln", "OUT"], ".part.partial/.model.safetensors.partial"),
    ])
  func cutUnfinishedFile(_ command: [String], _ unfinished: String) throws {
    let part = command.map { $0 == "OUT" ? "part" : $0 }
    // As float32 it is long enough that tensors are written before the damaged one is read.
    let source = command[0] == "convert" ? try Fixture.quantized() : try Fixture.packed()
    try fail(part + ["--resume"], of: source) { $0 * 4 / 5 }
    // The journal tells of tensors that are behind its end now.
    try scratch.edit(unfinished) { $0.removeLast($0.count / 2) }
    #expect(try resumed(part) > 0)
    try expectSuccess(command.map { $0 == "OUT" ? "whole" : $0 }, in: scratch.folder)
    #expect(try contents("part") == contents("whole"))
  }

  @Test("what is between the entries is looked at, too")
  func padding() throws {
    func command(_ output: String) -> [String] {
      ["quantize", "in.kiln", output, "--scheme", "int4-g32"]
    }
    try fail(command("part") + ["--resume"]) { $0 * 4 / 5 }
    try expectSuccess(command("whole"), in: scratch.folder)
    let file = try KilnFile(FilePath(scratch.path("whole")))
    let written = try Data(contentsOf: scratch.url(".part.partial")).count
    let paddings = file.paddings.filter { $0.upperBound < written }
    let padding = try #require(paddings.dropFirst(paddings.count / 2).first)
    try scratch.edit(".part.partial") { $0[padding.lowerBound] = 1 }
    let before = file.header.tensors.count { $0.extent.range.upperBound <= padding.lowerBound }
    #expect(try resumed(command("part")) == before)
    #expect(try contents("part")[""] == contents("whole")[""])
    try expectSuccess(["verify", "part"], in: scratch.folder)
  }

  @Test("a journal of another job, or of a source that changed, is not believed")
  func otherJobs() throws {
    func command(_ scheme: String, _ output: String = "out") -> [String] {
      ["quantize", "in.kiln", output, "--scheme", scheme]
    }
    for (scheme, seconds) in [("int8-g32", 1_700_000_000.0), ("int4-g32", 1_700_000_001)] {
      try fail(command("int4-g32") + ["--resume"]) { $0 * 4 / 5 }
      #expect(try scratch.listing().contains(".out.journal"))
      try setTime(seconds)
      #expect(try resumed(command(scheme)) == 0)
      try expectSuccess(command(scheme, "expected"), in: scratch.folder)
      #expect(try contents("out")[""] == contents("expected")[""])
      for name in ["out", "expected"] {
        try FileManager.default.removeItem(at: scratch.url(name))
      }
    }
    // The same job is.
    try fail(command("int4-g32") + ["--resume"]) { $0 * 4 / 5 }
    #expect(try resumed(command("int4-g32")) > 0)
  }

  /// Starts a command, and stops it while its output has its hidden name.
  private func stopped(_ command: [String], output: String) throws -> Tool.Running {
    for _ in 0..<20 {
      let running = try Tool.start(command, in: scratch.folder)
      // The journal is begun once the output is locked.
      while running.isRunning, try !scratch.listing().contains(".\(output).journal") {
        usleep(200)
      }
      // It may have been faster than the signal.
      if try running.suspend() && scratch.listing().contains(".\(output).partial") {
        return running
      }
      running.send(SIGCONT)
      #expect(try running.wait().status == 0)
      try FileManager.default.removeItem(at: scratch.url(output))
    }
    throw NotStopped()
  }

  private struct NotStopped: Error {}

  @Test("an interrupted run keeps its work only if it is to be resumed")
  func interrupted() throws {
    let command = ["quantize", "model", "out", "--scheme", "int4-g32", "--method", "search"]
    for (more, isKept) in [([], false), (["--resume"], true)] {
      let running = try stopped(command + more, output: "out")
      running.send(SIGINT)
      running.send(SIGCONT)
      let result = try running.wait()
      #expect(result.status == 128 + SIGINT, "\(result.errors)")
      for name in [".out.partial", ".out.journal"] {
        #expect(try scratch.listing().contains(name) == isKept)
      }
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
    let running = try stopped(command, output: "out")
    for more in [[], ["--resume"], ["--force"]] {
      try expectFailure(
        command + more, Code.cannotCreate, naming: "another process", in: scratch)
    }
    running.send(SIGCONT)
    #expect(try running.wait().status == 0)
  }
}

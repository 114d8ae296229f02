// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// A few of the kills and failures that `make test-slow` tries by the thousand.
@Suite("Kills and failing system calls", .serialized)
struct InjectionTests {
  private let scratch: Scratch
  private static let output = "out.kiln"
  private static let precious = Data("precious".utf8)

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.link(Fixture.packed(), as: "in.kiln")
  }

  /// Whether calls can be made to fail here.
  private static let hasTracer =
    (try? Tool.run(["-f", "-qq", "/bin/true"], program: "strace"))?.status == 0

  private static let convert = ["convert", "model", output, "--force"]
  private static let export = ["convert", "in.kiln", "out", "--force"]

  /// Runs a command with something injected into the n-th call of a name in each thread.
  private func inject(
    _ injection: String, into name: String, _ number: Int, _ arguments: [String]
  ) throws -> Tool.Result {
    try Tool.run(
      ["-f", "-qq", "-o", ".trace", "-e", "trace=\(name)"]
        + ["-e", "inject=\(name):\(injection):when=\(number)", Tool.binary.path] + arguments,
      in: scratch.folder, program: "strace")
  }

  /// How many calls of a name a thread of an undisturbed run makes at most.
  private func count(_ name: String, _ arguments: [String]) throws -> Int {
    try Tool.run(
      ["-f", "-qq", "-o", ".trace", "-e", "trace=\(name)", Tool.binary.path] + arguments,
      in: scratch.folder, program: "strace")
    let trace = try String(contentsOf: scratch.url(".trace"), encoding: .utf8)
    let threads = trace.split(separator: "\n").filter { $0.contains(" \(name)(") }
      .map { $0.prefix { $0 != " " } }
    return Dictionary(grouping: threads) { $0 }.values.map(\.count).max() ?? 0
  }

  /// Up to so many numbers from 1 to a count, the last ones among them.
  private func sample(_ count: Int, of most: Int) -> Set<Int> {
    let spread = stride(from: 1, through: count, by: max(1, count / most))
    return Set(spread).union(max(1, count - 2)...max(1, count))
  }

  private func hidden() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: scratch.folder.path)
      .filter { $0.hasPrefix(".") && $0 != ".trace" }
  }

  /// The old output or the complete new one is there, and the next run works.
  private func expectOldOrNew(_ what: Comment) throws {
    let found = try Data(contentsOf: scratch.url(Self.output))
    let complete = try Data(contentsOf: Fixture.packed())
    #expect(found == Self.precious || found == complete, what)
    try expectSuccess(Self.convert, in: scratch.folder)
    #expect(try Data(contentsOf: scratch.url(Self.output)) == complete, what)
    for name in try hidden() { try FileManager.default.removeItem(at: scratch.url(name)) }
  }

  @Test("a kill at any moment leaves the old output or the complete new one")
  func randomKills() throws {
    var generator = SeededGenerator(seed: 20_267)
    for _ in 0..<20 {
      try scratch.write("precious", to: Self.output)
      let running = try Tool.start(Self.convert, in: scratch.folder)
      usleep(.random(in: 0..<60_000, using: &generator))
      running.send(SIGKILL)
      let result = try running.wait()
      #expect([0, 128 + SIGKILL].contains(result.status), "\(result.errors)")
      try expectOldOrNew("killed at random")
    }
  }

  @Test(
    "a kill at a system call does, too", .enabled(if: hasTracer, "needs strace"),
    arguments: ["pwrite64", "fsync", "rename", "close"])
  func kills(_ name: String) throws {
    var killed = 0
    for number in sample(try count(name, Self.convert), of: 4) {
      try scratch.write("precious", to: Self.output)
      let result = try inject("signal=KILL", into: name, number, Self.convert)
      // Calls are counted by thread, and threads share work as it comes: the last ones may not be reached.
      #expect([0, 128 + SIGKILL].contains(result.status), "\(name) \(number): \(result.errors)")
      killed += result.status == 0 ? 0 : 1
      try expectOldOrNew("killed at \(name) \(number)")
    }
    #expect(killed > 0, "\(name): no run was killed")
  }

  @Test(
    "a system call that fails is told, and leaves the old output",
    .enabled(if: hasTracer, "needs strace"),
    arguments: [
      ("pwrite64", "ENOSPC"), ("pwrite64", "EINTR"), ("fsync", "EIO"), ("rename", "EDQUOT"),
    ])
  func errors(_ name: String, _ error: String) throws {
    let complete = try Data(contentsOf: Fixture.packed())
    for number in sample(try count(name, Self.convert), of: 3) {
      try scratch.write("precious", to: Self.output)
      let result = try inject("error=\(error)", into: name, number, Self.convert)
      let found = try Data(contentsOf: scratch.url(Self.output))
      let context: Comment = "\(error) at \(name) \(number): \(result.errors)"
      if result.status == 0 {
        #expect(found == complete, context)
      } else {
        #expect([Code.cannotCreate, Code.inputOutput].contains(result.status), context)
        #expect(result.messages.count == 1, context)
        #expect(found == Self.precious || found == complete, context)
      }
      #expect(try hidden().isEmpty, context)
    }
  }

  @Test(
    "a folder that was replaced is gone, whatever fails then",
    .enabled(if: hasTracer, "needs strace"))
  func replacedFolder() throws {
    // Found by injection: to list the old folder failed, and it stayed under its hidden name.
    try FileManager.default.createDirectory(
      at: scratch.url("out"), withIntermediateDirectories: false)
    try scratch.write("old", to: "out/config.json")
    let count = try count("openat", Self.export)
    for number in max(1, count - 6)...count {
      let result = try inject("error=EIO", into: "openat", number, Self.export)
      #expect([0, Code.cannotCreate, Code.inputOutput].contains(result.status), "\(result.errors)")
      #expect(try hidden().isEmpty, "openat \(number) of \(count)")
      #expect(FileManager.default.fileExists(atPath: scratch.path("out/config.json")))
    }
  }
}

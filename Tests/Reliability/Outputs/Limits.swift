// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TensorCore
import TestSupport

/// R12 without strace: limits that the system itself sets, and writes that take only a part.
enum Limits {
  static let experiment = Experiment(promises: ["R12"], name: "limits and short writes", run: run)

  private static func run(_ session: Session) throws -> [Ledger] {
    let size = Ledger("R12", "file size limits from 0 to the whole output: told, old output intact")
    let short = Ledger("R12", "every write takes only a part, or is interrupted: complete output")
    let full = Ledger("R12", "full file systems of many sizes: told, old output intact")
    let library = try PreloadedLibrary.shortWrites.build(in: session.folder.path)?.string
    if library == nil { short.annotate("skipped: no C compiler") }
    let scenarios = Scenario.all
    try session.forEach(scenarios.count, "limits") { lane, index in
      let stage = try Stage(
        scenarios[index], in: lane, model: session.models.folder, packed: session.models.packed,
        session)
      try sizeLimits(stage, session, size)
      if let library { try shortened(stage, library, session, short) }
    }
    try smallDisks(session, full)
    return [size, short, full]
  }

  private static func problem(_ outcome: ToolProcess.Outcome, _ stage: Stage) throws -> String? {
    if outcome.status == 0 { return try stage.problem(mustBeNew: true) }
    return try Verdict.problem(outcome, places: [], mustFail: false) ?? stage.problem()
  }

  /// RLIMIT_FSIZE shortens the write that crosses it, and fails the next.
  private static func sizeLimits(_ stage: Stage, _ session: Session, _ ledger: Ledger) throws {
    for blocks in stride(from: 0, to: 700, by: 35 * session.stride) {
      // The first argument is where the shell reads its own limits from.
      let process = try session.start(
        ["-c", "ulimit -f \(blocks); exec \"$0\" \"$@\"", session.kiln] + stage.arguments,
        in: stage.folder,
        program: "/bin/sh")
      ledger.record(try problem(process.wait(), stage), "\(stage.scenario), \(blocks) blocks")
      try stage.reset()
    }
  }

  private static func shortened(
    _ stage: Stage, _ library: String, _ session: Session, _ ledger: Ledger
  ) throws {
    for seed in 0..<session.scaled(20) {
      let outcome = try session.run(
        stage.arguments, in: stage.folder,
        environment: ["LD_PRELOAD": library, "KILN_SHORT_WRITES": "\(seed + 1)"])
      let problem = outcome.status == 0 ? try stage.problem(mustBeNew: true) : outcome.errors
      ledger.record(problem, "\(stage.scenario), seed \(seed)")
      try stage.reset()
    }
  }

  /// File systems in memory, too small for the output or just large enough.
  private static func smallDisks(_ session: Session, _ ledger: Ledger) throws {
    let lane = TemporaryFolder(at: try session.folder.makeFolder("disk"))
    try lane.makeFolder("mount")
    for (number, scenario) in Scenario.all.enumerated() {
      for size in stride(from: 16, to: 900, by: 60 * session.stride) {
        guard lane.mountSmallFileSystem("mount", byteCount: size << 10) else {
          return ledger.annotate("skipped: may not mount")
        }
        defer { lane.unmount("mount") }
        let folder = lane.path.appending("mount")
        let scratch = TemporaryFolder(at: folder)
        try scratch.link("model", to: session.models.folder.string)
        try scratch.link("model.kiln", to: session.models.packed.string)
        try scratch.link("text.txt", to: session.models.textFile.string)
        let output = folder.appending(scenario.output)
        if scenario.isReplacing { try writeOld(scenario, scratch) }
        // Less room than is seen at the start: somebody else writes, too.
        let filler = number % 2 == 0
        let before = try Files.digest(output)
        let process = try session.start(
          scenario.arguments + (scenario.isReplacing ? ["--force"] : []), in: folder)
        if filler { _ = try? scratch.write([UInt8](repeating: 1, count: size << 8), as: "filler") }
        let outcome = process.wait()
        var problem = Verdict.problem(outcome, places: [], mustFail: false)
        let after = try Files.digest(output)
        if outcome.status != 0, after != before { problem = problem ?? "the old output is gone" }
        let left = try FolderListing.entries(of: folder).filter { $0.hasPrefix(".") }
        if !left.isEmpty { problem = problem ?? "left \(left)" }
        if outcome.status == 0, scenario.output == "out.kiln" {
          let check = try session.run(["verify", output.string])
          if check.status != 0 { problem = problem ?? "said that it is done, but \(check.errors)" }
        }
        ledger.record(problem, "\(scenario) in \(size) KiB")
      }
    }
  }

  private static func writeOld(_ scenario: Scenario, _ scratch: TemporaryFolder) throws {
    let isFile = scenario.output.contains(".")
    try scratch.write("precious\n", as: isFile ? scenario.output : "\(scenario.output)/notes.txt")
  }
}

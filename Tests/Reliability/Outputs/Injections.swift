// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TestSupport

/// R11 and R12: the n-th system call is the last one, or fails, for every n.
enum Injections {
  static let kills = Experiment(promises: ["R11"], name: "kills at each call", run: runKills)
  static let errors = Experiment(promises: ["R12"], name: "failing calls", run: runErrors)

  private static let killedCalls = [
    "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "ftruncate",
    "close", "link",
    "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "fallocate",
  ]
  private static let failingCalls = [
    "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "ftruncate",
    "link", "linkat",
    "mkdir", "mkdirat", "openat", "fallocate", "close",
  ]
  private static let errorCodes = ["ENOSPC", "EIO", "EDQUOT", "EINTR"]

  /// A call to disturb: the n-th of its name, in whichever thread comes to it.
  private struct Target: Sendable {
    let name: String
    let number: Int
    let injection: String
  }

  private static func runKills(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger(
      "R11", "SIGKILL at every write, fsync, rename, close, link, unlink, mkdir: old or new")
    let next = Ledger("R11", "the next run after each of them")
    guard let tracer = Tracer(session) else {
      for ledger in [ledger, next] { ledger.annotate("skipped: no strace") }
      return [ledger, next]
    }
    try forEach(session, tracer, killTargets) { stage, target in
      let (outcome, hit) = try tracer.inject(
        target.injection, into: target.name, number: target.number, stage)
      guard !hit.isEmpty else { return }
      let what = "\(stage.scenario), \(target.name) number \(target.number)"
      var problem = try stage.problem(mustBeNew: outcome.status == 0, allowsHidden: true)
      if outcome.signal != SIGKILL {
        problem = problem ?? "exit code \(outcome.status): \(outcome.errors)"
      }
      ledger.record(problem, what)
      next.record(try stage.problemOfNextRun(), what)
    }
    return [ledger, next]
  }

  /// Runs all scenarios, each in a lane of its own, with all targets that it has.
  private static func forEach(
    _ session: Session, _ tracer: Tracer,
    _ targets: @Sendable (Stage, Tracer) throws -> [Target],
    _ body: @Sendable (Stage, Target) throws -> Void
  ) throws {
    let scenarios = Scenario.all
    try session.forEach(scenarios.count, "inject") { lane, index in
      let stage = try Stage(
        scenarios[index], in: lane, model: session.models.folder, packed: session.models.packed,
        session)
      for (number, target) in try targets(stage, tracer).enumerated()
      where number % session.stride == 0 {
        try stage.reset()
        try body(stage, target)
      }
    }
  }

  // MARK: - Errors

  private static func runErrors(_ session: Session) throws -> [Ledger] {
    let calls = Ledger(
      "R12", "ENOSPC, EIO, EDQUOT, EINTR at every write, fsync, rename, link, mkdir, open, close")
    let maps = Ledger("R12", "ENOMEM and EIO at every mmap of a file")
    guard let tracer = Tracer(session) else {
      for ledger in [calls, maps] { ledger.annotate("skipped: no strace") }
      return [calls, maps]
    }
    try forEach(session, tracer, errorTargets) { stage, target in
      let (outcome, hit) = try tracer.inject(
        target.injection, into: target.name, number: target.number, stage)
      guard !hit.isEmpty else { return }
      // libdispatch ends a process in which it cannot look at its own threads; no program can change that.
      if outcome.signal != nil, hit.contains(where: { $0.contains("\"/proc/") }) { return }
      let problem = try errorProblem(outcome, stage)
      (target.name == "mmap" ? maps : calls).record(
        problem, "\(stage.scenario), \(target.injection) at \(target.name) number \(target.number)")
    }
    return [calls, maps]
  }

  /// Every call, from the first of the dynamic linker on.
  private static func killTargets(_ stage: Stage, _ tracer: Tracer) throws -> [Target] {
    let calls = try tracer.calls(killedCalls.joined(separator: ","), of: stage)
    return killedCalls.flatMap { name in
      let last = calls.filter { $0.name == name }.map(\.number).max() ?? 0
      return (0..<last).map { Target(name: name, number: $0 + 1, injection: "signal=KILL") }
    }
  }

  /// Calls that the program makes itself: what the dynamic linker does before is not its own.
  private static func errorTargets(_ stage: Stage, _ tracer: Tracer) throws -> [Target] {
    let names = failingCalls + ["mmap"]
    let calls = try tracer.calls(names.joined(separator: ","), of: stage)
    // The input's first file marks the end of what happens before `main`.
    guard
      let begin = calls.firstIndex(where: { $0.name == "openat" && $0.text.contains("\"model") })
    else { throw ExperimentError("no open of the input in the trace") }
    var targets: [Target] = []
    for name in names {
      let own = calls[begin...].filter { $0.name == name && (name != "mmap" || isFileMap($0)) }
      // In another thread the same number stands for another call; what is tried is every number.
      for number in Set(own.map(\.number)).sorted() {
        for code in name == "mmap" ? ["ENOMEM", "EIO"] : errorCodes {
          targets.append(Target(name: name, number: number, injection: "error=\(code)"))
        }
      }
    }
    return targets
  }

  /// Whether a mapping is of a file: of memory, a failure is that of `malloc`, which ends any program in Swift.
  private static func isFileMap(_ call: Tracer.Call) -> Bool {
    !call.text.contains("MAP_ANONYMOUS") && !call.text.contains("PROT_EXEC")
  }

  /// What is wrong after a failing call: it was survived, or told cleanly and the old output is there.
  private static func errorProblem(_ outcome: ToolProcess.Outcome, _ stage: Stage) throws -> String?
  {
    if outcome.status == 0 { return try stage.problem(mustBeNew: true) }
    if let problem = Verdict.problem(outcome, places: [], mustFail: false, isVerify: true) {
      return problem
    }
    return try stage.problem()
  }
}

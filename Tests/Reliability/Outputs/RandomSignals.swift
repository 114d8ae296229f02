// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TestSupport

/// R11 and R14: signals at random moments.
enum RandomSignals {
  static let kills = Experiment(promises: ["R11"], name: "kills at random times", run: runKills)
  static let ends = Experiment(promises: ["R14"], name: "signals at random times", run: runEnds)

  private static let killCount = 500
  private static let endCount = 100

  /// The larger checkpoint of the repository, so that there is time to be killed in.
  private static func stage(
    _ scenario: Scenario, _ lane: FilePath, _ session: Session
  ) throws -> Stage {
    let packed = session.folder.path.appending("nano.kiln")
    return try Stage(scenario, in: lane, model: Fixtures.nano, packed: packed, session)
  }

  private static func packNano(_ session: Session) throws {
    let packed = session.folder.path.appending("nano.kiln").string
    let outcome = try session.run(["convert", Fixtures.nano.string, packed, "--force"])
    guard outcome.status == 0 else { throw ExperimentError(outcome.errors) }
  }

  private static func runKills(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger(
      "R11", "SIGKILL at random times of convert and quantize: old or complete new output")
    let next = Ledger("R11", "the next run after each of them")
    try packNano(session)
    // With a scale, a lane may have less than one of each.
    let scenarios = Scenario.ofWeights
    let perScenario = max(1, session.scaled(killCount) / scenarios.count + 1)
    try session.forEach(scenarios.count, "kill") { lane, index in
      let stage = try stage(scenarios[index], lane, session)
      var random = session.random("kill \(index)")
      for number in 0..<perScenario {
        let delay = Double.random(in: 0...1.1 * stage.seconds, using: &random)
        let process = try session.start(stage.arguments, in: stage.folder)
        usleep(UInt32(delay * 1e6))
        process.send(SIGKILL)
        let outcome = process.wait()
        let what = "\(stage.scenario), number \(number), after \(delay) s"
        var problem = try stage.problem(mustBeNew: outcome.status == 0, allowsHidden: true)
        if outcome.status != 0, outcome.signal != SIGKILL {
          problem = "exit code \(outcome.status): \(outcome.errors)"
        }
        ledger.record(problem, what)
        next.record(try stage.problemOfNextRun(), what)
        try stage.reset()
      }
    }
    return [ledger, next]
  }

  private static func runEnds(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger("R14", "SIGINT and SIGTERM at random times: nothing left, 130 and 143")
    try packNano(session)
    let scenarios = Scenario.all
    let wanted = max(1, session.scaled(endCount) / scenarios.count)
    try session.forEach(scenarios.count, "end") { lane, index in
      let stage = try stage(scenarios[index], lane, session)
      var random = session.random("end \(index)")
      var (caught, number) = (0, 0)
      // Runs that end before their signal prove nothing.
      while caught < wanted, number < 10 * wanted {
        number += 1
        let signal = number % 2 == 0 ? SIGINT : SIGTERM
        let delay = Double.random(in: 0...stage.seconds, using: &random)
        let process = try session.start(stage.arguments, in: stage.folder)
        usleep(UInt32(delay * 1e6))
        process.send(signal)
        let outcome = process.wait()
        let what = "\(stage.scenario), signal \(signal) after \(delay) s"
        if outcome.status != 0 {
          caught += 1
          var problem = try stage.problem()
          // A signal before the program has begun ends it, or the shell that starts it, as it always does.
          let isExpected = outcome.status == 128 + signal
          if !isExpected { problem = "exit code \(outcome.status): \(outcome.errors)" }
          ledger.record(problem, what)
        } else if let problem = try stage.problem(mustBeNew: true) {
          ledger.record(problem, what)
        }
        try stage.reset()
      }
    }
    return [ledger]
  }
}

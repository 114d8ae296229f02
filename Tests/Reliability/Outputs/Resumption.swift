// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TestSupport

/// R11: what was killed goes on, and ends in the bytes of a run that nobody disturbed.
enum Resumption {
  static let small = Experiment(promises: ["R11"], name: "resuming small jobs", run: runSmall)
  static let large = Experiment(promises: ["R11"], name: "resuming a large job", run: runLarge)

  private static let roundCount = 50

  /// Every way to write weights, on the checkpoint of the repository.
  private static func runSmall(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger("R11", "jobs of a second, killed at random times and resumed: same bytes")
    let packed = session.folder.path.appending("resumed.kiln")
    let made = try session.run(["convert", Fixtures.nano.string, packed.string, "--force"])
    guard made.status == 0 else { throw ExperimentError(made.errors) }
    let scenarios = Scenario.ofWeights.filter { !$0.isReplacing }
    try session.forEach(scenarios.count, "resume") { lane, index in
      let stage = try Stage(
        scenarios[index], in: lane, model: Fixtures.nano, packed: packed, session)
      let job = Job(session: session, arguments: stage.arguments, folder: lane)
      var random = session.random("resume \(index)")
      for round in 0..<session.scaled(roundCount) {
        let problem = try job.killAndResume(within: stage.seconds, seconds: 20, &random)
        ledger.record(
          try problem ?? stage.problem(mustBeNew: true), "\(scenarios[index]), round \(round)")
        try stage.reset()
      }
    }
    return [ledger]
  }

  /// A job of seconds: three layers of the real dimensions, 1.3 GB.
  private static func runLarge(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger("R11", "quantizing 1.3 GB, killed at random times and resumed: same bytes")
    let lane = try session.folder.makeFolder("large-resume")
    guard
      SyntheticCheckpoint.make(
        lane.appending("model"), ["--preset", "slice", "--experts", "32"], session)
    else {
      ledger.annotate("skipped: no make_checkpoint.py, or no numpy for it")
      return [ledger]
    }
    let arguments = ["quantize", "model", "out.kiln", "--scheme", "int4-g32"]
    let whole = try session.run(arguments, in: lane, seconds: 300)
    guard whole.status == 0 else { throw ExperimentError(whole.errors) }
    let output = lane.appending("out.kiln")
    let expected = try Files.digest(output)
    let job = Job(session: session, arguments: arguments, folder: lane)
    var random = session.random("large resume")
    for round in 0..<session.scaled(roundCount) {
      Files.remove(output)
      var problem = try job.killAndResume(within: whole.seconds, seconds: 300, &random)
      if problem == nil, try Files.digest(output) != expected { problem = "other bytes" }
      if problem == nil, try Files.listing(lane).contains(where: { $0.hasPrefix(".out") }) {
        problem = "left a hidden file"
      }
      ledger.record(problem, "round \(round)")
    }
    return [ledger]
  }

  /// A command that is killed and run again.
  private struct Job {
    let session: Session
    let arguments: [String]
    let folder: FilePath

    /// Kills one to three runs in a row, then lets one come to its end.
    ///
    /// - Returns: What went wrong; nil if the last one said that it is done.
    func killAndResume(
      within time: Double, seconds: Double, _ random: inout SeededGenerator
    ) throws -> String? {
      for number in 0..<Int.random(in: 1...3, using: &random) {
        let resuming = number > 0 || Bool.random(using: &random)
        let process = try session.start(
          arguments + ["--force"] + (resuming ? ["--resume"] : []), in: folder, seconds: seconds)
        usleep(UInt32(Double.random(in: 0...time, using: &random) * 1e6))
        process.send(SIGKILL)
        let outcome = process.wait()
        if outcome.status != 0, outcome.signal != SIGKILL { return outcome.errors }
      }
      let outcome = try session.run(
        arguments + ["--force", "--resume"], in: folder, seconds: seconds)
      return outcome.status == 0 ? nil : outcome.errors
    }
  }
}

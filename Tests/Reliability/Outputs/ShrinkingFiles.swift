// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import SystemPackage
import TestSupport

/// R16: a file that becomes shorter while it is read is an error, and no SIGBUS.
enum ShrinkingFiles {
  static let experiment = Experiment(promises: ["R16"], name: "files that shrink", run: run)

  private static let count = 50

  private static func run(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger("R16", "a shard cut while convert and others read it: no signal, 74 or 65")
    let wanted = session.scaled(count)
    try session.forEach(min(session.jobs, wanted), "shrink") { lane, index in
      var random = session.random("shrink \(index)")
      let share = wanted / min(session.jobs, wanted) + 1
      var (caught, number) = (0, 0)
      // Runs that end before the cut prove nothing.
      while caught < share, number < 20 * share {
        number += 1
        if try attempt(number, in: lane, &random, session, ledger) { caught += 1 }
        try Files.empty(lane)
      }
    }
    return [ledger]
  }

  /// Whether the cut came in time.
  private static func attempt(
    _ number: Int, in lane: FilePath, _ random: inout SeededGenerator, _ session: Session,
    _ ledger: Ledger
  ) throws -> Bool {
    try Files.copy(Fixtures.nano, to: lane.appending("model"))
    let arguments = [
      ["convert", "model", "out.kiln"], ["quantize", "model", "out.kiln", "--scheme", "int4-g32"],
      ["inspect", "model", "--stats"], ["verify", "model"],
    ][number % 4]
    let process = try session.start(arguments, in: lane)
    usleep(UInt32.random(in: 0..<60_000, using: &random))
    let size =
      [0, 1, 4095, 4096, 100_000, 5_000_000, 10_499_000].randomElement(using: &random) ?? 0
    unsafe truncate(lane.appending("model/model.safetensors").string, off_t(size))
    let outcome = process.wait()
    guard outcome.status != 0 else {
      // It had read everything, or it would have said so.
      return false
    }
    var problem = Verdict.problem(
      outcome, places: ["model.safetensors", "model"], mustFail: false, isVerify: true)
    if ![65, 74, 2].contains(outcome.status) { problem = problem ?? "exit code \(outcome.status)" }
    let left = try Files.listing(lane).filter { $0.hasPrefix(".") || $0.hasPrefix("out") }
    if !left.isEmpty { problem = problem ?? "left \(left)" }
    ledger.record(problem, "\(arguments[0]), cut to \(size) bytes")
    return true
  }
}

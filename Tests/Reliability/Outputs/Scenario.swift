// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TensorCore
import TestSupport

/// A command that writes, and whether its output replaces an older one.
struct Scenario: Sendable, CustomStringConvertible {
  /// The words after `kiln`; the model is `model` or `model.kiln` in the working folder.
  let arguments: [String]
  /// The output in the working folder.
  let output: String
  /// Whether an older output is there, to be replaced by force.
  let isReplacing: Bool

  var description: String { (arguments + (isReplacing ? ["--force"] : [])).joined(separator: " ") }

  /// Commands that write, each with and without an older output.
  static let all: [Scenario] = [
    (["convert", "model", "out.kiln"], "out.kiln"),
    (["quantize", "model", "out.kiln", "--scheme", "int4-g32"], "out.kiln"),
    (["convert", "model", "out.kiln", "--compress", "zstd"], "out.kiln"),
    (["quantize", "model", "out", "--scheme", "int4-g32", "--shard-size", "100KB"], "out"),
    (["convert", "model.kiln", "out"], "out"),
    (["convert", "model.kiln", "out", "--shard-size", "100KB"], "out"),
    (
      [
        "perplexity", "model.kiln", "--text", "text.txt", "--context", "16", "--token-log",
        "out.csv",
      ], "out.csv"
    ),
    (
      [
        "perplexity", "model.kiln", "--text", "text.txt", "--context", "16", "--save-base",
        "out.base",
      ], "out.base"
    ),
    (
      [
        "calibrate", "model.kiln", "out.calibration", "--calibration", "text.txt",
        "--calibration-context", "16",
      ], "out.calibration"
    ),
  ].flatMap { arguments, output in
    [false, true].map { Scenario(arguments: arguments, output: output, isReplacing: $0) }
  }

  /// Those that write weights, which take longest.
  static let ofWeights = all.filter {
    !["perplexity", "calibrate"].contains($0.arguments[0])
  }
}

/// A working folder in which a scenario is run again and again, interrupted or not.
struct Stage: Sendable {
  let scenario: Scenario
  let folder: FilePath
  private let session: Session
  /// Digests of the older output and of the complete new one.
  private let old: UInt64?
  private let new: UInt64?
  /// Names in the folder that are not the scenario's doing.
  private let given: [String]
  /// How long an undisturbed run takes.
  let seconds: Double

  /// Prepares a folder and runs the scenario once, undisturbed.
  init(
    _ scenario: Scenario, in lane: FilePath, model: FilePath, packed: FilePath, _ session: Session
  ) throws {
    self.scenario = scenario
    self.session = session
    folder = lane
    try Files.empty(lane)
    let scratch = TemporaryFolder(at: lane)
    try scratch.link("model", to: model.string)
    try scratch.link("model.kiln", to: packed.string)
    try scratch.write(Models.text, as: "text.txt")
    given = try FolderListing.entries(of: lane)
    try Self.writeOld(scenario, to: scratch)
    old = try Files.digest(lane.appending(scenario.output))
    let outcome = try session.run(Self.words(scenario), in: lane)
    guard outcome.status == 0 else { throw ExperimentError("\(scenario): \(outcome.errors)") }
    new = try Files.digest(lane.appending(scenario.output))
    seconds = outcome.seconds
    try reset()
  }

  /// The words after `kiln`.
  var arguments: [String] { Self.words(scenario) }

  private static func words(_ scenario: Scenario) -> [String] {
    scenario.arguments + (scenario.isReplacing ? ["--force"] : [])
  }

  private static func writeOld(_ scenario: Scenario, to scratch: TemporaryFolder) throws {
    guard scenario.isReplacing else { return }
    if scenario.output.contains(".") {
      try scratch.write("precious\n", as: scenario.output)
    } else {
      // Parts of an older export, which go, and a file of the user's, which stays.
      for name in ["model-00001-of-00009.safetensors", "config.json", "notes.txt"] {
        try scratch.write("precious\n", as: "\(scenario.output)/\(name)")
      }
    }
  }

  /// Brings the folder back to how it was before the first run.
  func reset() throws {
    for name in try FolderListing.entries(of: folder) where !given.contains(name) {
      Files.remove(folder.appending(name))
    }
    try Self.writeOld(scenario, to: TemporaryFolder(at: folder))
  }

  /// What is wrong with what a run left behind; nil if it is the older output, or the complete new one.
  ///
  /// - Parameters:
  ///   - mustBeNew: Whether only the new one will do.
  ///   - allowsHidden: Whether unfinished files under hidden names may be there: nobody can remove them
  ///     after SIGKILL.
  /// - Returns: The problem.
  /// - Throws: What the file system says.
  func problem(mustBeNew: Bool = false, allowsHidden: Bool = false) throws -> String? {
    let digest = try Files.digest(folder.appending(scenario.output))
    if mustBeNew, digest != new { return "said that it is done, and the output is not complete" }
    if digest != new, digest != old { return "a partial output under the final name" }
    for name in try FolderListing.entries(of: folder)
    where !given.contains(name) && name != scenario.output {
      if !(allowsHidden && name.hasPrefix(".")) { return "left \(name)" }
    }
    return nil
  }

  /// Whether the output is the complete new one.
  func isNew() throws -> Bool {
    try Files.digest(folder.appending(scenario.output)) == new
  }

  /// Why the next run does not work; nil if it does.
  func problemOfNextRun() throws -> String? {
    let outcome = try session.run(scenario.arguments + ["--force"], in: folder)
    guard outcome.status == 0 else { return "the next run: \(outcome.errors)" }
    return try problem(mustBeNew: true, allowsHidden: true).map { "the next run: \($0)" }
  }
}

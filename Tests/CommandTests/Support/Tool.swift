// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport
import Testing

/// The built program, run as a process as a user's shell runs it.
enum Tool {
  /// What a run gave.
  struct Result {
    fileprivate let outcome: ToolProcess.Outcome

    /// The exit code, or 128 and the signal that ended the process.
    var status: Int32 { outcome.status }
    var output: Data { Data(outcome.outputBytes) }
    var text: String { outcome.text }
    var errors: String { outcome.errors }
    /// Lines on standard error that are not warnings.
    var messages: [String] { outcome.messages }
    var warnings: [String] { outcome.warnings }

    /// Standard output as one JSON object.
    func json() throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: output) as? [String: Any])
    }
  }

  /// What the program was built with: `asan`, `tsan` or `ubsan`; nil without a sanitizer.
  static let sanitizer = ToolProcess.sanitizer

  /// `kiln` next to the test bundle, or `KILN_BINARY`: an older or a sanitized build.
  static let binary = URL(fileURLWithPath: ToolProcess.kiln.string)

  /// A process that has been started.
  struct Running {
    fileprivate let process: ToolProcess

    var isRunning: Bool { process.isRunning }

    /// Sends it a signal, unless it has ended.
    func send(_ signal: Int32) { process.send(signal) }

    /// Stops it; false if it has ended before.
    func suspend() -> Bool { process.suspend() }

    /// Waits for the end; a process that takes too long is killed and a failure.
    func wait() throws -> Result {
      let outcome = process.wait()
      if outcome.isOverdue { Issue.record("still running after \(outcome.seconds) s") }
      return Result(outcome: outcome)
    }
  }

  /// Runs the program to its end.
  ///
  /// - Parameters:
  ///   - arguments: Its arguments.
  ///   - input: What it reads on standard input.
  ///   - folder: Its working folder.
  ///   - environment: Variables to set.
  ///   - redirection: Redirections in the language of the shell, such as `>/dev/full`.
  ///   - program: Another program, for what only a shell can do.
  ///   - seconds: Time that it may take; nil for the usual.
  /// - Returns: What it wrote and how it ended.
  /// - Throws: If it cannot be started.
  @discardableResult
  static func run(
    _ arguments: [String], input: String = "", in folder: URL? = nil,
    environment: [String: String] = [:], redirection: String = "", program: String = binary.path,
    seconds: Double? = nil
  ) throws -> Result {
    try start(
      arguments, input: input, in: folder, environment: environment, redirection: redirection,
      program: program, seconds: seconds
    ).wait()
  }

  /// Starts the program.
  static func start(
    _ arguments: [String], input: String = "", in folder: URL? = nil,
    environment: [String: String] = [:], redirection: String = "", program: String = binary.path,
    seconds: Double? = nil
  ) throws -> Running {
    var limits = ToolProcess.Limits()
    limits.seconds = seconds ?? limits.seconds
    return Running(
      process: try ToolProcess(
        program, arguments, input: Array(input.utf8), in: folder?.path, environment: environment,
        redirection: redirection, limits: limits))
  }
}

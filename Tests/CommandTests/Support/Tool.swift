// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Testing

/// The built program, run as a process as a user's shell runs it.
struct Tool {
  /// What a run gave.
  struct Result {
    /// The exit code, or 128 and the signal that ended the process.
    let status: Int32
    let output: Data
    let errors: String
    let seconds: Double

    var text: String { String(decoding: output, as: UTF8.self) }

    /// Lines on standard error that are neither warnings nor the progress of a run that takes seconds.
    var messages: [String] {
      errors.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        .filter { !$0.isEmpty && !$0.hasPrefix("kiln: warning: ") && !$0.contains(Self.progress) }
    }

    private static var progress: Regex<Substring> { #/^[a-z]+ [0-9.]+ % .+ left, /# }

    var warnings: [String] {
      errors.split(separator: "\n").map(String.init).filter { $0.hasPrefix("kiln: warning: ") }
    }

    /// Standard output as one JSON object.
    func json() throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: output) as? [String: Any])
    }
  }

  /// What the program was built with: `asan`, `tsan` or `ubsan`; nil without a sanitizer.
  static let sanitizer = ProcessInfo.processInfo.environment["KILN_SANITIZER"]

  /// Limits of RELIABILITY, R1: what hangs or takes more memory fails.
  ///
  /// A sanitizer makes the program ten times slower and reserves terabytes of addresses for its own
  /// tables, so that there cannot be a limit for them.
  private static let secondsLimit = sanitizer == nil ? 20.0 : 200.0
  private static let memoryLimit = sanitizer == nil ? "ulimit -v \(4 << 20); " : ""

  /// `kiln` beside the test bundle, or `KILN_BINARY`: an older or a sanitized build.
  static let binary: URL = {
    if let named = ProcessInfo.processInfo.environment["KILN_BINARY"] {
      return URL(fileURLWithPath: named)
    }
    // Bundle.main of `swift test` is the bundle's own executable or a helper of the toolchain.
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
    return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("kiln")
  }()

  /// A process that has been started.
  final class Running {
    fileprivate let process = Process()
    fileprivate let ended = DispatchSemaphore(value: 0)
    fileprivate let files: URL
    fileprivate let start = Date()

    fileprivate init() throws {
      files = FileManager.default.temporaryDirectory.appendingPathComponent(
        "kiln-run-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: files, withIntermediateDirectories: false)
    }

    deinit {
      try? FileManager.default.removeItem(at: files)
    }

    var identifier: pid_t { process.processIdentifier }
    var isRunning: Bool { process.isRunning }

    /// Waits for the end; a process that takes too long is killed and a failure.
    func wait() throws -> Result {
      if ended.wait(timeout: .now() + Tool.secondsLimit) == .timedOut {
        kill(process.processIdentifier, SIGKILL)
        ended.wait()
        Issue.record("still running after \(Tool.secondsLimit) s")
      }
      let signal = process.terminationReason == .uncaughtSignal ? 128 as Int32 : 0
      return Result(
        status: signal + process.terminationStatus,
        output: try Data(contentsOf: files.appendingPathComponent("out")),
        errors: String(
          decoding: try Data(contentsOf: files.appendingPathComponent("err")), as: UTF8.self),
        seconds: Date().timeIntervalSince(start))
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
  /// - Returns: What it wrote and how it ended.
  /// - Throws: If it cannot be started.
  @discardableResult
  static func run(
    _ arguments: [String], input: String = "", in folder: URL? = nil,
    environment: [String: String] = [:], redirection: String = "", program: String = binary.path
  ) throws -> Result {
    try start(
      arguments, input: input, in: folder, environment: environment, redirection: redirection,
      program: program
    ).wait()
  }

  /// Starts the program.
  static func start(
    _ arguments: [String], input: String = "", in folder: URL? = nil,
    environment: [String: String] = [:], redirection: String = "", program: String = binary.path
  ) throws -> Running {
    let running = try Running()
    let process = running.process
    // The shell sets the limit and becomes the program, so the process is the program's own.
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments =
      ["-c", "\(memoryLimit)exec \"$0\" \"$@\" \(redirection)", program]
      + arguments
    process.currentDirectoryURL = folder
    // A crash is a failure; its trace would only take time.
    process.environment = ProcessInfo.processInfo.environment
      .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }.merging(environment) { $1 }
    for name in ["in", "out", "err"] {
      let file = running.files.appendingPathComponent(name)
      try Data((name == "in" ? input : "").utf8).write(to: file)
    }
    process.standardInput = try FileHandle(
      forReadingFrom: running.files.appendingPathComponent("in"))
    process.standardOutput = try FileHandle(
      forWritingTo: running.files.appendingPathComponent("out"))
    process.standardError = try FileHandle(
      forWritingTo: running.files.appendingPathComponent("err"))
    process.terminationHandler = { [ended = running.ended] _ in ended.signal() }
    try process.run()
    return running
  }
}

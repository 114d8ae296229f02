// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport

/// The tool under `strace`, which counts its system calls, makes some fail and kills at others.
struct Tracer: Sendable {
  /// One call that was made.
  struct Call: Sendable {
    /// The thread.
    let thread: Int
    /// The name of the call.
    let name: String
    /// Arguments and result as strace writes them.
    let text: String
    /// Its number among the calls of that name in its thread, from 1.
    let number: Int
  }

  private let session: Session
  private let program: String

  /// A tracer; nil where there is no strace, or where it may not be used.
  init?(_ session: Session) {
    self.session = session
    program = "strace"
    guard let outcome = try? ToolProcess(program, ["-f", "-qq", "/bin/true"]).wait(),
      outcome.status == 0
    else {
      return nil
    }
  }

  /// The calls of an undisturbed run, in their order.
  ///
  /// - Parameters:
  ///   - names: The calls to note, in strace's language.
  ///   - stage: What is run.
  /// - Returns: The calls of all threads.
  /// - Throws: If the run fails.
  func calls(_ names: String, of stage: Stage) throws -> [Call] {
    let outcome = try run(["-e", "trace=\(names)", "-s", "4096"], stage)
    guard outcome.status == 0 else { throw ExperimentError("strace: \(outcome.errors)") }
    let calls = try log(stage)
    Files.remove(stage.folder.appending(Self.logName))
    return calls
  }

  /// A run with something injected into one call.
  ///
  /// - Parameters:
  ///   - injection: `signal=KILL` or `error=EIO`, in strace's language.
  ///   - name: The call.
  ///   - number: Which of them, in each thread.
  ///   - stage: What is run.
  /// - Returns: How it ended, and the calls that were hit, as strace writes them.
  /// - Throws: If strace cannot be started.
  func inject(
    _ injection: String, into name: String, number: Int, _ stage: Stage
  ) throws -> (outcome: ToolProcess.Outcome, hit: [String]) {
    let outcome = try run(
      ["-e", "trace=\(name)", "-e", "inject=\(name):\(injection):when=\(number)"], stage)
    let path = stage.folder.appending(Self.logName)
    let lines = String(decoding: (try? Files.read(path)) ?? [], as: UTF8.self).split(
      separator: "\n")
    Files.remove(path)
    return (
      outcome,
      lines.filter { $0.contains("(INJECTED)") || $0.contains("killed by") }.map(String.init)
    )
  }

  /// A hidden name, so that it is no output.
  private static let logName = ".trace"

  private func run(_ options: [String], _ stage: Stage) throws -> ToolProcess.Outcome {
    try session.start(
      ["-f", "-qq", "-o", Self.logName] + options + [session.kiln] + stage.arguments + [
        "--threads", "2",
      ],
      in: stage.folder, seconds: 60, program: program
    ).wait()
  }

  private func log(_ stage: Stage) throws -> [Call] {
    let text = String(decoding: try Files.read(stage.folder.appending(Self.logName)), as: UTF8.self)
    var numbers: [String: Int] = [:]
    var open: [Int: (index: Int, text: String)] = [:]
    var calls: [Call] = []
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
      guard parts.count == 2, let thread = Int(parts[0]) else { continue }
      let rest = parts[1].drop { $0 == " " }
      if rest.hasPrefix("<... "), let begun = open.removeValue(forKey: thread) {
        // A call that another thread's stood in the middle of.
        let end = rest.split(separator: ">", maxSplits: 1).last.map(String.init) ?? ""
        let call = calls[begun.index]
        calls[begun.index] = Call(
          thread: thread, name: call.name, text: begun.text + end, number: call.number)
        continue
      }
      guard let bracket = rest.firstIndex(of: "("), rest.first?.isLetter == true else { continue }
      let name = String(rest[..<bracket])
      let number = (numbers["\(thread) \(name)"] ?? 0) + 1
      numbers["\(thread) \(name)"] = number
      let arguments = String(rest[rest.index(after: bracket)...])
      calls.append(Call(thread: thread, name: name, text: arguments, number: number))
      if let cut = arguments.range(of: " <unfinished ...>") {
        open[thread] = (calls.count - 1, String(arguments[..<cut.lowerBound]))
      }
    }
    return calls
  }
}

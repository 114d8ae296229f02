// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// One line of the table: how often a promise was tried in one way, and how often it held.
final class Ledger: Sendable {
  /// The promise, such as `R8`.
  let promise: String
  /// What was tried, in short words.
  let tried: String
  private let state = Mutex(State())

  private struct State {
    var count = 0
    var held = 0
    var note: String?
    var largest: Double?
  }

  /// Most problems that are printed; one defect often shows in hundreds of cases.
  private static let printedProblems = 20

  init(_ promise: String, _ tried: String) {
    self.promise = promise
    self.tried = tried
  }

  /// How often it was tried.
  var count: Int { state.withLock { $0.count } }
  /// How often it held.
  var held: Int { state.withLock { $0.held } }
  /// What the reader of the table should know about the numbers.
  var note: String? { state.withLock { $0.note } }
  /// Whether it held always; nothing tried is no success, unless a note says why.
  var isKept: Bool { state.withLock { $0.count == $0.held && ($0.count > 0 || $0.note != nil) } }

  /// Counts one try; a problem is printed at once.
  ///
  /// - Parameters:
  ///   - problem: What went wrong; nil if it held.
  ///   - subject: What was tried, to find it again.
  func record(_ problem: String?, _ subject: @autoclosure () -> String) {
    let failures = state.withLock { state in
      state.count += 1
      if problem == nil { state.held += 1 }
      return state.count - state.held
    }
    guard let problem, failures <= Self.printedProblems else { return }
    let rest = failures == Self.printedProblems ? " (more are not shown)" : ""
    Console.write("\(promise) NOT HELD: \(subject()): \(problem)\(rest)")
  }

  /// Keeps the largest of the values that were measured, for the table.
  func measure(_ value: Double) {
    state.withLock { $0.largest = max($0.largest ?? value, value) }
  }

  /// The largest value.
  var largest: Double? { state.withLock { $0.largest } }

  /// Says something beside the numbers, such as why nothing could be tried.
  func annotate(_ text: String) {
    state.withLock { $0.note = text }
  }
}

/// Where progress and problems go.
enum Console {
  /// Writes a line to standard error.
  static func write(_ line: String) {
    var line = line + "\n"
    line.withUTF8 { buffer in
      _ = unsafe Glibc.write(STDERR_FILENO, buffer.baseAddress, buffer.count)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization

/// Work that did not come to its end in time.
package struct Overdue: Error, Equatable {
  /// How long it had.
  package let seconds: Int
}

/// Runs work on a thread of its own and gives up on it when it takes many times longer than it ever does.
///
/// For work that a fault can make endless: one test then fails, and the others still run. A time limit of the
/// testing library cannot do that, because it cannot stop a thread. The thread goes on until the process ends.
///
/// - Parameters:
///   - seconds: What the work may take; ten times that with a sanitizer.
///   - work: What is done.
/// - Returns: What it returns.
/// - Throws: `Overdue`, or what it throws.
package func withDeadline<Value: Sendable>(
  seconds: Int = 60, _ work: @escaping @Sendable () throws -> Value
) throws -> Value {
  let limit = ToolProcess.sanitizer == nil ? seconds : 10 * seconds
  let outcome = Outcome<Value>()
  let end = DispatchSemaphore(value: 0)
  DispatchQueue.global().async {
    let result = Result { try work() }
    outcome.result.withLock { $0 = result }
    end.signal()
  }
  guard end.wait(timeout: .now() + .seconds(limit)) == .success,
    let result = outcome.result.withLock({ $0 })
  else { throw Overdue(seconds: limit) }
  return try result.get()
}

/// Where a thread puts what it found.
private final class Outcome<Value: Sendable>: Sendable {
  let result = Mutex<Result<Value, any Error>?>(nil)
}

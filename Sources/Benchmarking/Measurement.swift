// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// The times that the same work took, run after run.
package struct Measurement: Sendable, Equatable {
  /// Seconds of each run, in their order; at least one.
  package let seconds: [Double]

  /// Takes times that were measured.
  ///
  /// - Precondition: There is one.
  package init(seconds: [Double]) {
    precondition(!seconds.isEmpty, "no run was measured")
    self.seconds = seconds
  }

  /// Runs some work, once to warm up, and then for the clock.
  ///
  /// - Parameters:
  ///   - repeats: Runs that are measured, at least one.
  ///   - warmUps: Runs before them that are not.
  ///   - body: The work.
  ///   - cleanUp: What is to be done after each run, off the clock.
  /// - Throws: What `body` throws.
  package init(
    repeats: Int, warmUps: Int = 1, _ body: () throws -> Void, cleanUp: () throws -> Void
  ) rethrows {
    for _ in 0..<warmUps {
      try body()
      try cleanUp()
    }
    let clock = ContinuousClock()
    var seconds: [Double] = []
    for _ in 0..<max(repeats, 1) {
      let start = clock.now
      try body()
      seconds.append((clock.now - start).inSeconds)
      try cleanUp()
    }
    self.init(seconds: seconds)
  }

  /// Runs some work that leaves nothing behind.
  ///
  /// - Throws: What `body` throws.
  package init(repeats: Int, warmUps: Int = 1, _ body: () throws -> Void) rethrows {
    try self.init(repeats: repeats, warmUps: warmUps, body, cleanUp: {})
  }

  /// Runs short work as often as it takes to be measured well, at least for a given time in each run.
  ///
  /// - Parameters:
  ///   - repeats: Runs that are measured.
  ///   - shortest: Seconds that a run should take.
  ///   - body: The work.
  /// - Returns: Times of the work done once.
  package static func ofShort(
    repeats: Int, shortest: Double = 0.05, _ body: () -> Void
  ) -> Measurement {
    let once = Measurement(repeats: 1, body).median
    let count = max(1, Int(min((shortest / max(once, 1e-9)).rounded(.up), 1e6)))
    let many = Measurement(repeats: repeats, warmUps: 0) { for _ in 0..<count { body() } }
    return Measurement(seconds: many.seconds.map { $0 / Double(count) })
  }

  /// Runs short work that leaves something behind as often as it takes to be measured well.
  ///
  /// - Parameters:
  ///   - repeats: Runs that are measured.
  ///   - shortest: Seconds that a run should take.
  ///   - body: The work, timed each time that it is done.
  ///   - cleanUp: What is to be done after each time, off the clock.
  /// - Returns: Times of the work done once.
  package static func ofShort(
    repeats: Int, shortest: Double = 0.05, _ body: () -> Void, cleanUp: () -> Void
  ) -> Measurement {
    let once = Measurement(repeats: 1, body, cleanUp: cleanUp).median
    let count = max(1, Int(min((shortest / max(once, 1e-9)).rounded(.up), 1e6)))
    return Measurement(
      seconds: (0..<max(repeats, 1)).map { _ in
        let each = Measurement(repeats: count, warmUps: 0, body, cleanUp: cleanUp)
        return each.seconds.reduce(0, +) / Double(count)
      })
  }

  /// The time in the middle.
  package var median: Double {
    let sorted = seconds.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// The shortest time.
  package var fastest: Double { seconds.min() ?? 0 }

  /// How far apart the slowest and the fastest run are, as a share of the median.
  package var spread: Double {
    median > 0 ? ((seconds.max() ?? 0) - fastest) / median : 0
  }

  /// The run whose time is nearest to the median.
  package var typicalRun: Int {
    let median = median
    return seconds.indices.min { abs(seconds[$0] - median) < abs(seconds[$1] - median) } ?? 0
  }
}

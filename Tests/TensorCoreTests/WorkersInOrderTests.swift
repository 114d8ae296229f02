// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TensorCore
import Testing

/// Work that overlaps, with results in the order of its inputs.
@Suite struct WorkersInOrderTests {
  private struct Refusal: Error, Equatable {
    let number: Int
  }

  @Test("outputs come in the order of the inputs, whatever each takes", arguments: [1, 2, 3, 8])
  func order(threads: Int) throws {
    for count in [0, 1, 2, 7, 500] {
      var next = 0
      var outputs: [Int] = []
      try Workers(count: threads).inOrder(
        ahead: 5,
        next: { () -> Int? in
          defer { next += 1 }
          return next < count ? next : nil
        },
        transform: { (input: Int) -> Int in
          // The earlier ones of each five take longer.
          (0..<(4 - input % 5) * 1000).reduce(input) { ($0 &* 31 &+ $1) & 1 } >= 0
            ? input * input : 0
        },
        consume: { outputs.append($0) })
      #expect(outputs == (0..<count).map { $0 * $0 })
    }
  }

  @Test("no more inputs are taken than may be on their way", arguments: [1, 2, 8])
  func bound(threads: Int) throws {
    var (taken, consumed, most) = (0, 0, 0)
    try Workers(count: threads).inOrder(
      ahead: 3,
      next: { () -> Int? in
        guard taken < 100 else { return nil }
        taken += 1
        most = max(most, taken - consumed)
        return taken
      },
      transform: { (input: Int) in input }, consume: { _ in consumed += 1 })
    #expect(consumed == 100)
    #expect(most == 3)
  }

  @Test("an error ends the run, and no thread is at work afterwards", arguments: [1, 2, 8])
  func errors(threads: Int) {
    for failsInNext in [false, true] {
      let running = Atomic(0)
      var next = 0
      #expect(throws: Refusal(number: 20)) {
        try Workers(count: threads).inOrder(
          ahead: 6,
          next: { () throws -> Int? in
            next += 1
            if failsInNext, next == 20 { throw Refusal(number: next) }
            return next
          },
          transform: { (input: Int) -> Int in
            running.add(1, ordering: .relaxed)
            defer { running.subtract(1, ordering: .relaxed) }
            return input
          },
          consume: { if !failsInNext, $0 == 20 { throw Refusal(number: $0) } })
      }
      #expect(running.load(ordering: .relaxed) == 0)
    }
  }
}

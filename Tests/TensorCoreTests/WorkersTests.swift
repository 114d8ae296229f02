// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import TensorCore
import TestSupport
import Testing

/// Loops on several threads.
@Suite struct WorkersTests {
  /// How often each item of a loop was called.
  private func calls(_ items: Int, on workers: Workers) -> [Int] {
    let counts = Mutex([Int](repeating: 0, count: items))
    workers.forEach(items) { item in counts.withLock { $0[item] += 1 } }
    return counts.withLock { $0 }
  }

  @Test(arguments: [1, 2, 3, 8, 64, 1000])
  func `every item is called once, loop after loop`(threads: Int) {
    let workers = Workers(count: threads)
    for items in [0, 1, 2, 3, 7, 100] {
      for _ in 0..<50 {
        #expect(calls(items, on: workers) == [Int](repeating: 1, count: items))
      }
    }
  }

  @Test func `loops of fewer and of more threads follow each other`() {
    var random = SeededGenerator(seed: 71)
    for _ in 0..<300 {
      let workers = Workers(count: Int.random(in: 1...9, using: &random))
      let items = Int.random(in: 0...40, using: &random)
      #expect(calls(items, on: workers) == [Int](repeating: 1, count: items))
    }
  }

  @Test func `a loop inside a loop has no helpers to wait for`() {
    let workers = Workers(count: 3)
    let sums = workers.map(5) { outer in
      workers.map(7) { inner in outer * 100 + inner }.reduce(0, +)
    }
    #expect(sums == (0..<5).map { $0 * 700 + 21 })
  }

  @Test func `loops of several threads at a time do not meet`() {
    let workers = Workers(count: 4)
    let results = Mutex([Int: Int]())
    DispatchQueue.concurrentPerform(iterations: 8) { caller in
      for round in 0..<40 {
        let sum = workers.map(11) { $0 * (caller + 1) }.reduce(0, +)
        results.withLock { $0[caller * 100 + round] = sum }
      }
    }
    let found = results.withLock { $0 }
    #expect(found.count == 320)
    #expect(found.allSatisfy { $0.value == 55 * ($0.key / 100 + 1) })
  }

  @Test func `threads that went to sleep come back`() {
    let workers = Workers(count: 4)
    for _ in 0..<5 {
      // Far longer than they wait awake.
      Thread.sleep(forTimeInterval: 0.005)
      #expect(calls(9, on: workers) == [Int](repeating: 1, count: 9))
    }
  }

  @Test func `what threads wrote is seen behind the loop`() {
    let workers = Workers(count: 4)
    for round in 0..<200 {
      let squares = workers.map(64) { $0 * $0 + round }
      #expect(squares == (0..<64).map { $0 * $0 + round })
    }
  }

  @Test func `several threads take part`() {
    // Each of two items waits for the other, for a while: one thread alone never sees both begun.
    func haveMet() -> Bool {
      let arrived = Atomic(0)
      let meetings = Atomic(0)
      Workers(count: 2).forEach(2) { _ in
        arrived.wrappingAdd(1, ordering: .relaxed)
        for _ in 0..<200 where arrived.load(ordering: .relaxed) < 2 {
          Thread.sleep(forTimeInterval: 0.001)
        }
        if arrived.load(ordering: .relaxed) == 2 { meetings.wrappingAdd(1, ordering: .relaxed) }
      }
      return meetings.load(ordering: .relaxed) == 2
    }
    #expect((0..<20).contains { _ in haveMet() })
  }
}

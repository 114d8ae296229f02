// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TensorCore
import Testing

/// Threads that meet at barriers.
@Suite struct ThreadTeamTests {
  /// Counts of a run: how often each item was taken, and what members saw behind a barrier.
  private final class Ledger: Sendable {
    let taken = Mutex([Int](repeating: 0, count: 100))
    let sum = Atomic(0)
    let wrongSums = Atomic(0)
    let membersSeen = Mutex(Set<Int>())
  }

  @Test(arguments: [1, 2, 3, 9])
  func `every item is done once, and seen by all behind the barrier`(count: Int) {
    let ledger = Ledger()
    let team = ThreadTeam(count: count) { member in
      ledger.membersSeen.withLock { _ = $0.insert(member.index) }
      for items in [0, 1, 5, 100] {
        member.forEach(items) { item in
          ledger.taken.withLock { $0[item] += 1 }
          ledger.sum.wrappingAdd(item, ordering: .relaxed)
        }
        let expected = [0, 1, 5, 100].prefix { $0 <= items }.reduce(0) { $0 + $1 * ($1 - 1) / 2 }
        if ledger.sum.load(ordering: .relaxed) % 4960 != expected % 4960 {
          ledger.wrongSums.wrappingAdd(1, ordering: .relaxed)
        }
        member.barrier()
      }
    }
    #expect(team.count == count)
    for _ in 0..<20 { team.run() }
    #expect(ledger.wrongSums.load(ordering: .relaxed) == 0)
    #expect(ledger.membersSeen.withLock { $0 } == Set(0..<count))
    #expect(
      ledger.taken.withLock { $0 }
        == (0..<100).map { 20 * ($0 < 1 ? 3 : $0 < 5 ? 2 : 1) })
  }

  @Test(arguments: [2, 4])
  func `members that are done help others`(count: Int) {
    let ledger = Ledger()
    let team = ThreadTeam(count: count) { member in
      member.forEach(100) { item in
        ledger.taken.withLock { $0[item] += 1 }
        // The first member stays at its first item until all others are done.
        if item == 0 {
          while ledger.taken.withLock({ $0.reduce(0, +) }) < 100 {}
        }
      }
    }
    for _ in 0..<3 {
      team.run()
      #expect(ledger.taken.withLock { $0 } == [Int](repeating: 1, count: 100))
      ledger.taken.withLock { $0 = [Int](repeating: 0, count: 100) }
    }
  }

  @Test func `sleeping members wake for the next run`() async throws {
    let runs = Atomic(0)
    let counter = Ledger()
    let team = ThreadTeam(count: 4) { member in
      counter.sum.wrappingAdd(1, ordering: .relaxed)
      member.barrier()
    }
    for run in 1...3 {
      team.run()
      runs.wrappingAdd(1, ordering: .relaxed)
      #expect(counter.sum.load(ordering: .relaxed) == 4 * run)
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  @Test func `teams that never run, or are many, end`() {
    for count in 1...6 { _ = ThreadTeam(count: count) { _ in } }
    #expect(ThreadTeam(count: 0) { _ in }.count == 1)
    #expect(ThreadTeam(count: Int.max) { _ in }.count <= Workers.maximum)
  }
}

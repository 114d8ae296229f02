// SPDX-License-Identifier: Apache-2.0

import CLinux
import Dispatch
import Synchronization

/// The threads that one computation may use.
///
/// Work is cut into items whose number and borders depend on the problem alone, never on the
/// number of threads, and every item writes to places of its own. So the digits of a result are
/// the same for any number of threads.
package struct Workers: Sendable {
  /// Largest number of threads; OpenBLAS keeps one work area for each.
  package static let maximum = 64
  /// Processors that this process may run on.
  package static let processorCount = max(Int(kiln_usable_processors()), 1)
  /// How many threads run at a time.
  package let count: Int

  /// - Parameter count: Threads to use, brought into 1...`maximum`.
  package init(count: Int) {
    self.count = min(max(count, 1), Self.maximum)
  }

  /// Calls `body` once for each item in `0..<items`, in any order and on any thread.
  ///
  /// Returns when all calls have returned. A thread that is done takes the next item, so items of
  /// different cost keep all threads busy; put the expensive ones first.
  package func forEach(_ items: Int, _ body: @Sendable (_ item: Int) -> Void) {
    let threads = min(count, items)
    guard threads > 1 else {
      for item in 0..<max(items, 0) { body(item) }
      return
    }
    let next = Atomic(0)
    @Sendable func takeItems() {
      while true {
        let item = next.wrappingAdd(1, ordering: .relaxed).oldValue
        if item >= items { return }
        body(item)
      }
    }
    if LoopThreads.shared.run(threads: threads, { takeItems() }) { return }
    DispatchQueue.concurrentPerform(iterations: threads) { _ in takeItems() }
  }

  /// The results of `body` for all items, in the order of the items.
  package func map<Result: Sendable>(
    _ items: Int, _ body: @Sendable (_ item: Int) -> Result
  ) -> [Result] {
    let results = Mutex([Result?](repeating: nil, count: items))
    forEach(items) { item in
      let result = body(item)
      results.withLock { $0[item] = result }
    }
    return results.withLock { $0 }.compactMap { $0 }
  }
}

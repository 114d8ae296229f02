// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization

extension Workers {
  /// Transforms inputs on all threads and hands on the outputs in the order of the inputs.
  ///
  /// The calling thread takes the inputs, consumes the outputs and helps where there is nothing to
  /// consume; the others transform meanwhile. So reading, work and writing overlap, and no thread waits
  /// while there is something to do.
  ///
  /// - Parameters:
  ///   - ahead: Most inputs that were taken and whose outputs are not consumed yet: it bounds memory.
  ///   - next: Called on the calling thread; nil ends the run.
  ///   - transform: Called once for each input, on any thread.
  ///   - consume: Called on the calling thread with each output, in the order of the inputs.
  /// - Throws: What `next` and `consume` throw, once no thread is at work any more.
  package func inOrder<Input: Sendable, Output: Sendable>(
    ahead: Int, next: () throws -> Input?, transform: @Sendable (Input) -> Output,
    consume: (Output) throws -> Void
  ) throws {
    try withoutActuallyEscaping(transform) { transform in
      let queue = OrderedQueue(transform)
      let group = DispatchGroup()
      for _ in 1..<max(count, 1) {
        DispatchQueue.global().async(group: group) { queue.help() }
      }
      defer {
        queue.close(helpers: count - 1)
        group.wait()
      }
      var (taken, consumed) = (0, 0)
      var isEnded = false
      while true {
        while !isEnded, taken - consumed < max(ahead, 1) {
          guard let input = try next() else {
            isEnded = true
            break
          }
          queue.add(input, number: taken)
          taken += 1
        }
        if consumed == taken { return }
        if let output = queue.takeOutput(consumed) {
          try consume(output)
          consumed += 1
        } else if !queue.transformOne() {
          queue.waitForOutput()
        }
      }
    }
  }
}

/// Inputs that wait for a thread, and outputs that wait for their turn.
private final class OrderedQueue<Input: Sendable, Output: Sendable>: Sendable {
  private struct State {
    var inputs: [(number: Int, input: Input)] = []
    var outputs: [Int: Output] = [:]
    var isClosed = false
  }

  private let state = Mutex(State())
  private let transform: @Sendable (Input) -> Output
  /// Counts what was added; who finds nothing then was late, and waits again.
  private let added = DispatchSemaphore(value: 0)
  private let finished = DispatchSemaphore(value: 0)

  init(_ transform: @escaping @Sendable (Input) -> Output) {
    self.transform = transform
  }

  func add(_ input: Input, number: Int) {
    state.withLock { $0.inputs.append((number, input)) }
    added.signal()
  }

  /// Transforms inputs until the queue is closed.
  func help() {
    while true {
      added.wait()
      if state.withLock({ $0.isClosed }) { return }
      if transformOne() { finished.signal() }
    }
  }

  /// Transforms the oldest input.
  ///
  /// - Returns: false if there is none.
  func transformOne() -> Bool {
    let oldest = state.withLock { $0.inputs.isEmpty ? nil : $0.inputs.removeFirst() }
    guard let (number, input) = oldest else { return false }
    let output = transform(input)
    state.withLock { $0.outputs[number] = output }
    return true
  }

  func takeOutput(_ number: Int) -> Output? {
    state.withLock { $0.outputs.removeValue(forKey: number) }
  }

  /// Returns when another thread has finished something, perhaps long ago.
  func waitForOutput() { finished.wait() }

  /// Ends `help` on all threads; inputs that still wait are forgotten.
  func close(helpers: Int) {
    state.withLock { state in
      state.isClosed = true
      state.inputs = []
    }
    for _ in 0..<max(helpers, 0) { added.signal() }
  }
}

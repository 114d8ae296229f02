// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Synchronization

/// The threads that help with the loops of `Workers`, kept from one loop to the next.
///
/// A run of a model has hundreds of loops of some tenths of a millisecond, which is what it takes to wake
/// a thread. So helpers wait awake for the next loop, for a while, before they go to sleep. One that
/// wakes too late is not waited for: helpers join a loop as long as it is open, and only those that
/// did are waited for when it closes.
///
/// There is one loop at a time. Whoever wants another meanwhile, from inside a loop or from elsewhere, is
/// told that the helpers are taken.
final class LoopThreads: Sendable {
  /// Those of the process.
  static let shared = LoopThreads()

  /// How long a thread waits awake: longer than what lies between the loops of a layer.
  private static let patience = Duration.microseconds(200)
  /// When it begins to offer its processor to others.
  private static let selfishness = Duration.microseconds(5)
  /// Looks between two at the clock.
  private static let looks = 16

  private let isTaken = Atomic(false)
  /// Helpers that were started.
  private let count = Atomic(0)
  /// Helpers that there may be: more threads than processors would only wait for each other.
  private let limit = Atomic(max(Workers.processorCount - 1, 1))
  /// The loop that is under way, or was the last one.
  private let loop = OwnLine(Loop(number: 0, seats: 0, isOpen: false).bits)
  private let body = Mutex<(@Sendable () -> Void)?>(nil)
  private let helpers = Bed()
  private let caller = Bed()

  /// Runs `body` on the calling thread and, as they come, on helpers, all at the same time.
  ///
  /// Returns when nobody runs it any more. Helpers that have not come by the time that the calling thread is
  /// done do not run it at all.
  ///
  /// - Parameters:
  ///   - threads: Most threads that run it, the calling one included; 1...`Workers.maximum`.
  ///   - body: What they do.
  /// - Returns: Whether it was run: false if the helpers are taken.
  func run(threads: Int, _ body: @Sendable () -> Void) -> Bool {
    guard !isTaken.exchange(true, ordering: .acquiringAndReleasing) else { return false }
    defer { isTaken.store(false, ordering: .releasing) }
    start(threads - 1)
    withoutActuallyEscaping(body) { body in
      self.body.withLock { $0 = body }
      let last = Loop(bits: loop.value.load(ordering: .relaxed))
      let next = Loop(
        number: last.number &+ 1, seats: UInt64(clamping: threads - 1), isOpen: true)
      helpers.wake { loop.value.store(next.bits, ordering: .sequentiallyConsistent) }
      body()
      loop.value.bitwiseAnd(~Loop.openBit, ordering: .acquiringAndReleasing)
      wait(in: caller) { $0.helpers == 0 }
      self.body.withLock { $0 = nil }
    }
    return true
  }

  /// Has so many helpers at least, if the system has the processors and the threads.
  private func start(_ wanted: Int) {
    while count.load(ordering: .relaxed) < min(wanted, limit.load(ordering: .relaxed)) {
      guard let thread = SystemThread.start({ self.help() }) else {
        // Asking again before every loop would cost more than it could bring.
        limit.store(count.load(ordering: .relaxed), ordering: .relaxed)
        return
      }
      pthread_detach(thread)
      count.wrappingAdd(1, ordering: .relaxed)
    }
  }

  /// The life of a helper.
  private func help() {
    // A loop that was open before there was this thread is as good as a later one.
    var last: UInt64?
    while true {
      let known = last
      let number = wait(in: helpers) { $0.isOpen && $0.number != known }.number
      last = number
      guard join(number) else { continue }
      work()
      caller.wake { loop.value.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
    }
  }

  /// Takes part in a loop, if that is still open and has a seat.
  private func join(_ number: UInt64) -> Bool {
    var seen = loop.value.load(ordering: .acquiring)
    while true {
      let loop = Loop(bits: seen)
      guard loop.isOpen, loop.number == number, loop.helpers < loop.seats else { return false }
      let (isJoined, now) = self.loop.value.weakCompareExchange(
        expected: seen, desired: seen + 1, ordering: .acquiringAndReleasing)
      if isJoined { return true }
      seen = now
    }
  }

  /// Runs the body, of which nothing is kept: it must not outlive the loop.
  @inline(never)
  private func work() {
    body.withLock { $0 }?()
  }

  /// Waits until the loop is as it should be, awake for a while.
  @discardableResult
  private func wait(in bed: Bed, until isRight: (Loop) -> Bool) -> Loop {
    let start = ContinuousClock.now
    var passed = Duration.zero
    while passed < Self.patience {
      for _ in 0..<Self.looks {
        let loop = Loop(bits: loop.value.load(ordering: .acquiring))
        if isRight(loop) { return loop }
        kiln_relax()
      }
      passed = .now - start
      if passed > Self.selfishness { sched_yield() }
    }
    bed.sleep { isRight(Loop(bits: loop.value.load(ordering: .sequentiallyConsistent))) }
    return Loop(bits: loop.value.load(ordering: .acquiring))
  }
}

/// The state of a loop in one word, which threads change at a stroke.
private struct Loop {
  static let openBit: UInt64 = 1 << 31
  private static let seatShift: UInt64 = 16
  private static let seatMask: UInt64 = 0x7FFF
  private static let helperMask: UInt64 = 0xFFFF
  private static let numberShift: UInt64 = 32

  let bits: UInt64

  init(bits: UInt64) {
    self.bits = bits
  }

  init(number: UInt64, seats: UInt64, isOpen: Bool) {
    bits =
      number << Self.numberShift | min(seats, Self.seatMask) << Self.seatShift
      | (isOpen ? Self.openBit : 0)
  }

  /// Tells it from the loops before it.
  var number: UInt64 { bits >> Self.numberShift }
  var isOpen: Bool { bits & Self.openBit != 0 }
  /// Helpers that it has room for.
  var seats: UInt64 { bits >> Self.seatShift & Self.seatMask }
  /// Helpers that are at work in it.
  var helpers: UInt64 { bits & Self.helperMask }
}

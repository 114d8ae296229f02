// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Synchronization

/// Threads that do one job together again and again, in phases so short that waking a thread for each
/// would take longer than the phase.
///
/// A step of decoding has a hundred loops of a few microseconds each, whose threads `Workers` would have
/// to call together every time. A team stays together for the whole step: its members meet at
/// barriers, where they wait for a moment on the processor before they go to sleep. So the team costs next
/// to nothing while it works, nothing while it rests, and goes on, slower, where other programs take
/// the processors.
///
/// The rule of `Workers` holds: items write to places of their own, so that no digit depends on the
/// number of members or on who takes which item.
package final class ThreadTeam: Sendable {
  /// How many members work together, the caller of `run` included.
  package let count: Int
  private let meeting: Meeting
  private let threads: [pthread_t]

  /// Starts the threads; they sleep until the first run.
  ///
  /// - Parameters:
  ///   - count: Members, brought into 1...`Workers.maximum`; fewer if the system has no more threads.
  ///   - job: What every member does in a run. All of them have to call `barrier` and `forEach` in
  ///     the same order.
  package init(count: Int, job: @escaping @Sendable (Member) -> Void) {
    let wanted = min(max(count, 1), Workers.maximum)
    let meeting = Meeting(members: wanted, job: job)
    self.meeting = meeting
    var threads: [pthread_t] = []
    while threads.count + 1 < wanted {
      let index = threads.count + 1
      guard let thread = SystemThread.start({ meeting.work(index: index) }) else { break }
      threads.append(thread)
    }
    self.threads = threads
    self.count = threads.count + 1
    meeting.open(count: self.count)
  }

  /// Has all members do the job once; the calling thread is member 0.
  ///
  /// - Precondition: No other run is under way.
  package func run() {
    meeting.barrier()
    meeting.job(Member(index: 0, count: count, meeting: meeting))
    meeting.barrier()
  }

  deinit {
    meeting.end()
    for thread in threads { _ = pthread_join(thread, nil) }
  }

  /// What the job sees of the team.
  package struct Member: Sendable {
    /// Its number in `0..<count`.
    package let index: Int
    /// Members of the team.
    package let count: Int
    fileprivate let meeting: Meeting

    /// Waits until all members are here; what they wrote before is then seen by all.
    @inline(__always)
    package func barrier() {
      meeting.barrier()
    }

    /// Calls `body` once for each item in `0..<items` and waits until all have returned.
    ///
    /// Each member begins with its part of the items and then helps others.
    @inline(__always)
    package func forEach(_ items: Int, _ body: (_ item: Int) -> Void) {
      let phase = meeting.phase
      let shares = meeting.shares.count
      for helped in 0..<shares {
        let share = index + helped < shares ? index + helped : index + helped - shares
        while let item = meeting.shares.take(from: share, of: items, phase: phase) { body(item) }
      }
      meeting.barrier()
    }
  }
}

/// Where members meet: the barrier, and the items of the phase that is under way.
private final class Meeting: Sendable {
  /// Nanoseconds that a member waits awake before it goes to sleep: longer than others are late where all
  /// have a processor, and little of what a sleep would cost.
  private static let patience = 250...6_000
  /// Looks at the barrier before one at the clock.
  private static let looks = 16
  /// A sleep so short was not worth it; a longer one says that a processor does something else.
  private static let shortSleep = Duration.microseconds(100)

  let job: @Sendable (ThreadTeam.Member) -> Void
  private let count = Atomic(0)
  /// Nanoseconds that members wait awake now.
  ///
  /// Where other programs take the processors, a member that waits awake keeps them, or another member,
  /// from getting on; where they do not, one that sleeps wakes too late.
  private let patience = Atomic(0)
  private let isEnding = Atomic(false)
  private let arrived = OwnLine(0)
  /// How many times all have met.
  private let round = OwnLine(0)
  private let bed = Bed()
  /// One share for each member; there may be more than members came.
  let shares: ItemShares

  init(members: Int, job: @escaping @Sendable (ThreadTeam.Member) -> Void) {
    self.job = job
    shares = ItemShares(count: members)
  }

  /// Tells what is between two barriers from what was before; all members see the same.
  var phase: UInt32 {
    @inline(__always) get { UInt32(truncatingIfNeeded: round.value.load(ordering: .relaxed)) }
  }

  /// Lets the members in, now that their number is known.
  func open(count: Int) {
    // With more members than processors, one that waits awake keeps another from working.
    let isCrowded = count > Workers.processorCount
    patience.store(isCrowded ? 0 : Self.patience.upperBound, ordering: .relaxed)
    bed.wake { self.count.store(count, ordering: .sequentiallyConsistent) }
  }

  /// The life of a member other than the caller.
  func work(index: Int) {
    bed.sleep { count.load(ordering: .sequentiallyConsistent) != 0 }
    let member = ThreadTeam.Member(
      index: index, count: count.load(ordering: .relaxed), meeting: self)
    while true {
      wait(learns: false)
      if isEnding.load(ordering: .acquiring) { return }
      job(member)
      barrier()
    }
  }

  func end() {
    isEnding.store(true, ordering: .releasing)
    barrier()
  }

  func barrier() {
    wait(learns: true)
  }

  /// Waits until all members have come.
  ///
  /// - Parameter learns: Whether the time that it takes tells how busy the processors are. How long a team
  ///   rests between runs tells nothing.
  private func wait(learns: Bool) {
    let now = round.value.load(ordering: .relaxed)
    let members = count.load(ordering: .relaxed)
    if arrived.value.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue == members {
      arrived.value.store(0, ordering: .relaxed)
      if members > 1 {
        bed.wake { round.value.store(now + 1, ordering: .sequentiallyConsistent) }
      } else {
        round.value.store(now + 1, ordering: .relaxed)
      }
      return
    }
    if sees(theEndOf: now) { return }
    let patience = patience.load(ordering: .relaxed)
    let start = ContinuousClock.now
    var asleep = start
    while asleep - start < .nanoseconds(patience) {
      if sees(theEndOf: now) { return }
      asleep = .now
    }
    bed.sleep { round.value.load(ordering: .sequentiallyConsistent) != now }
    if learns && patience > 0 {
      let wanted = ContinuousClock.now - asleep < Self.shortSleep ? patience * 2 : patience / 2
      self.patience.store(
        min(max(wanted, Self.patience.lowerBound), Self.patience.upperBound), ordering: .relaxed)
    }
  }

  /// Looks for a moment whether a round is over.
  @inline(__always)
  private func sees(theEndOf round: Int) -> Bool {
    for _ in 0..<Self.looks {
      if self.round.value.load(ordering: .acquiring) != round { return true }
      kiln_relax()
    }
    return false
  }
}

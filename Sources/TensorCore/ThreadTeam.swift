// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Synchronization

/// Threads that do one job together again and again, in phases so short that waking a thread for each
/// would take longer than the phase.
///
/// `Workers` starts and ends threads with every loop, which takes microseconds; a step of decoding
/// has a hundred loops of a few microseconds each. A team stays for the whole step: its members meet
/// at barriers, where they wait for a moment on the processor before they go to sleep. So the team
/// costs next to nothing while it works, nothing while it rests, and goes on, slower, where other
/// programs take the processors.
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
      guard let thread = MemberThread.start({ meeting.work(index: index) }) else { break }
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
  /// Looks at the barrier before a member goes to sleep: some microseconds at most.
  private static let patience = 16...256
  /// A sleep so short was not worth it; a longer one says that a processor does something else.
  private static let shortSleep = Duration.microseconds(100)

  let job: @Sendable (ThreadTeam.Member) -> Void
  private let count = Atomic(0)
  /// Looks that are taken now.
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
    let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    patience.store(count <= processors ? Self.patience.upperBound : 0, ordering: .relaxed)
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
    let looks = patience.load(ordering: .relaxed)
    for _ in 0..<looks {
      if round.value.load(ordering: .acquiring) != now { return }
      kiln_relax()
    }
    let start = ContinuousClock.now
    bed.sleep { round.value.load(ordering: .sequentiallyConsistent) != now }
    if learns && looks > 0 {
      let wanted = ContinuousClock.now - start < Self.shortSleep ? looks * 2 : looks / 2
      patience.store(
        min(max(wanted, Self.patience.lowerBound), Self.patience.upperBound), ordering: .relaxed)
    }
  }
}

/// Where threads sleep until something has happened; waking nobody costs one load.
@safe
private final class Bed: @unchecked Sendable {
  private let sleepers = Atomic(0)
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(condition, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  /// Sleeps until `hasHappened`.
  func sleep(until hasHappened: () -> Bool) {
    unsafe pthread_mutex_lock(mutex)
    // Announced before the last look: whoever changes what is looked at then sees a sleeper.
    sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while !hasHappened() { unsafe pthread_cond_wait(condition, mutex) }
    sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    unsafe pthread_mutex_unlock(mutex)
  }

  /// Makes something happen, sequentially consistent, and wakes whoever sleeps.
  func wake(_ happen: () -> Void) {
    happen()
    guard sleepers.load(ordering: .sequentiallyConsistent) > 0 else { return }
    unsafe pthread_mutex_lock(mutex)
    unsafe pthread_cond_broadcast(condition)
    unsafe pthread_mutex_unlock(mutex)
  }
}

/// A thread of the system.
private enum MemberThread {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// - Returns: nil if the system has no more threads.
  static func start(_ run: @escaping @Sendable () -> Void) -> pthread_t? {
    let body = unsafe Unmanaged.passRetained(Body(run))
    var thread = pthread_t()
    let status = unsafe pthread_create(
      &thread, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        }
        return nil
      }, body.toOpaque())
    guard status == 0 else {
      unsafe body.release()
      return nil
    }
    return thread
  }
}

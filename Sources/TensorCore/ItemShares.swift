// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The items of a phase of a `ThreadTeam`, a share of neighbours for each member.
///
/// A member takes the items of its own share, which costs it no more than a look at a cache line that it
/// has, and then what is left of the shares of others. So members that are equally fast do not meet
/// before the barrier, and one that is held up is helped.
///
/// Nothing is set back between phases: a cursor says which phase it is of, and whoever meets one of an
/// earlier phase begins its share anew.
@safe
final class ItemShares: @unchecked Sendable {
  /// How many there are.
  let count: Int
  private let cursors: UnsafeMutablePointer<OwnLine<UInt64>>

  init(count: Int) {
    self.count = count
    unsafe cursors = .allocate(capacity: count)
    // A phase that is not the first.
    for share in 0..<count { unsafe (cursors + share).initialize(to: OwnLine(UInt64.max)) }
  }

  deinit {
    unsafe cursors.deinitialize(count: count)
    unsafe cursors.deallocate()
  }

  /// Takes an item of a share.
  ///
  /// - Parameters:
  ///   - share: Whose share.
  ///   - items: Items of the phase, less than 2^32.
  ///   - phase: Tells the phase from those before it.
  /// - Returns: An item in `0..<items` that nobody else gets, or nil if none is left.
  @inline(__always)
  func take(from share: Int, of items: Int, phase: UInt32) -> Int? {
    let end = (share + 1) * items / count
    let cursor = unsafe cursors + share
    var seen = unsafe cursor.pointee.value.load(ordering: .relaxed)
    while true {
      let isOfPhase = UInt32(truncatingIfNeeded: seen >> 32) == phase
      let item =
        isOfPhase ? Int(UInt32(truncatingIfNeeded: seen)) : share * items / count
      guard item < end else { return nil }
      let next = UInt64(phase) << 32 | UInt64(UInt32(truncatingIfNeeded: item + 1))
      // What items do is seen behind the barrier, which orders memory.
      let (isTaken, now) = unsafe cursor.pointee.value.weakCompareExchange(
        expected: seen, desired: next, ordering: .relaxed)
      if isTaken { return item }
      seen = now
    }
  }
}

/// An atomic number with a cache line of its own, or two: some processors fetch them in pairs.
///
/// What one thread writes then takes no line from others that look at something else.
struct OwnLine<Value: AtomicRepresentable & Sendable>: ~Copyable, Sendable {
  let value: Atomic<Value>
  private let padding = InlineArray<15, UInt64>(repeating: 0)

  init(_ value: consuming Value) {
    self.value = Atomic(value)
  }
}

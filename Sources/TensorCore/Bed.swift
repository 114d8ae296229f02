// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Where threads sleep until something has happened; waking nobody costs one load.
@safe
final class Bed: @unchecked Sendable {
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

// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Memory of this process.
package enum PeakMemory {
  /// The largest resident size so far in bytes, mapped files included.
  package static var byteCount: Int {
    var usage = rusage()
    guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    return Int(usage.ru_maxrss) * 1024
  }

  /// Forgets what was largest so far, as far as the system lets it be forgotten.
  package static func reset() {
    let descriptor = unsafe open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    // Says in proc(5): 5 resets the peak resident size.
    _ = unsafe write(descriptor, "5", 1)
    close(descriptor)
  }
}

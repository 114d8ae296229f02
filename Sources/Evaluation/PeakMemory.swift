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
}

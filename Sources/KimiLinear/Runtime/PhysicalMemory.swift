// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The memory of this machine.
package enum PhysicalMemory {
  /// All of it, in bytes.
  package static var byteCount: Int {
    sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
  }
}

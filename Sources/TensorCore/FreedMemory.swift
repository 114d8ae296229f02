// SPDX-License-Identifier: Apache-2.0

import CLinux

/// What the allocator does with memory that was freed.
package enum FreedMemory {
  /// Keeps it in the process from now on, for the whole process.
  ///
  /// For programs that take and give back the same large buffers over and over: otherwise the system
  /// maps and clears their pages each time.
  package static func keep() {
    isKept
  }

  /// Gives what was freed until now back to the system.
  ///
  /// For the point at which a plan is made and long work begins: tables that come and go leave holes between
  /// those that stay, and large buffers do not fit into them.
  package static func giveBack() { kiln_give_back_freed_memory() }

  private static let isKept: Void = kiln_keep_freed_memory()
}

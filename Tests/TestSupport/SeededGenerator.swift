// SPDX-License-Identifier: Apache-2.0

import Glibc

/// SplitMix64: random numbers for tests that anybody can draw again.
///
/// Every run draws the same numbers, unless `KILN_TEST_SEED` gives others; the seed is printed, so that
/// a failure can be repeated.
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  /// Starts at a seed.
  package init(seed: UInt64) {
    state = seed
  }

  /// Starts at the seed of this run and prints it.
  package init() {
    let named = unsafe getenv("KILN_TEST_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
    let seed = named ?? 0x4B49_4C4E
    print("seed \(seed)")
    self.init(seed: seed)
  }

  /// The next 64 random bits.
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

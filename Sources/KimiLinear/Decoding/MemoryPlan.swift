// SPDX-License-Identifier: Apache-2.0

import Kernels

/// Lays out the floats that a decoder works on in one piece of memory.
///
/// Places are handed out before the memory is there, so that its size is known first.
struct MemoryPlan {
  /// Floats so far.
  private(set) var count = 0
  /// Values that places begin with; 0 everywhere else.
  private(set) var contents: [(place: Range<Int>, values: [Float])] = []

  /// A place for `count` floats, on a cache line of its own.
  mutating func take(_ count: Int) -> Range<Int> {
    let start = (self.count + 15) / 16 * 16
    self.count = start + count
    return start..<start + count
  }

  /// A place that holds `values`.
  mutating func take(_ values: [Float]) -> Range<Int> {
    let place = take(values.count)
    contents.append((place, values))
    return place
  }

  /// The memory, filled with what places begin with; nil if there is not so much.
  func makeMemory() -> SharedFloats? {
    guard let memory = SharedFloats(count: count) else { return nil }
    for (place, values) in contents {
      memory.withMutable(place) { $0.copy(from: values.span) }
    }
    return memory
  }
}

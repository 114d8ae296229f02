// SPDX-License-Identifier: Apache-2.0

/// Counts of equal bins as a line of bars.
enum Histogram {
  private static let levels = Array("▁▂▃▄▅▆▇█")

  /// A bar for each bin; bars grow with the logarithm of the count, so that tails are seen.
  ///
  /// - Parameter counts: How many values each bin has.
  /// - Returns: One character a bin, a space for an empty one; nothing where all are empty.
  static func bars(_ counts: [Int]) -> String {
    func bits(_ count: Int) -> Int { Int.bitWidth - count.leadingZeroBitCount }
    let most = counts.map(bits).max() ?? 0
    guard most > 0 else { return "" }
    return String(
      counts.map { count in
        count == 0 ? " " : levels[bits(count) * (levels.count - 1) / most]
      })
  }
}

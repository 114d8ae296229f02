// SPDX-License-Identifier: Apache-2.0

/// How fast something grows, by what was seen of it lately.
///
/// Steps of one job differ in speed, and so does a machine from minute to minute; what was seen long ago says little
/// about the rest.
package struct WorkRate: Sendable {
  /// An amount at a time.
  private struct Sample {
    let seconds: Double
    let amount: Double
  }

  /// Samples older than this are forgotten, as long as enough remain.
  private static let window = 20.0
  /// Samples that remain, however old: one step may take longer than the window.
  private static let leastSampleCount = 4
  /// Samples closer than this to the one before replace it.
  private static let spacing = 0.2

  private var samples: [Sample] = []

  /// Nothing was seen yet.
  package init() {}

  /// Takes note of an amount.
  ///
  /// An amount that is smaller than the one before starts anew: work is done again.
  ///
  /// - Parameters:
  ///   - amount: What is done in all.
  ///   - seconds: When.
  package mutating func add(_ amount: Double, at seconds: Double) {
    if let last = samples.last, amount < last.amount { samples.removeAll() }
    if samples.count > 1, let last = samples.last,
      seconds - samples[samples.count - 2].seconds < Self.spacing, last.seconds <= seconds
    {
      samples.removeLast()
    }
    samples.append(Sample(seconds: seconds, amount: amount))
    let old = samples.prefix { $0.seconds < seconds - Self.window }.count
    samples.removeFirst(min(old, max(samples.count - Self.leastSampleCount, 0)))
  }

  /// The amount a second; nil as long as too little was seen.
  package var perSecond: Double? {
    guard let first = samples.first, let last = samples.last, last.seconds > first.seconds,
      last.amount > first.amount
    else { return nil }
    return (last.amount - first.amount) / (last.seconds - first.seconds)
  }
}

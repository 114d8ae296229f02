// SPDX-License-Identifier: Apache-2.0

/// What comparing a model with a base over a text has given.
package struct ComparisonSummary: Sendable {
  /// Positions of a window that are taken together.
  package struct Bucket: Sendable {
    /// Positions in the window.
    package let positions: Range<Int>
    /// The figures over them, from all windows.
    package let figures: ComparisonFigures
  }

  /// Most buckets of positions.
  private static let bucketCount = 8

  /// The figures of the model alone.
  package internal(set) var model = PerplexitySummary()
  private let windows: TokenWindows
  private var tokens: [ComparedToken] = []

  /// Nothing compared yet.
  package init(windows: TokenWindows) {
    self.windows = windows
    tokens.reserveCapacity(windows.scoredCount)
  }

  /// Takes the next position.
  package mutating func add(_ token: ComparedToken) {
    model.add(token.scored.logProbability)
    tokens.append(token)
  }

  /// The figures over all scored positions.
  package var figures: ComparisonFigures { ComparisonFigures(tokens) }

  /// The figures by position in the window, in up to eight ranges of equal length (within one): what a
  /// recurrent state accumulates shows as growth from the first to the last.
  package var buckets: [Bucket] {
    let ranges = Self.ranges(windows)
    var parts = [[ComparedToken]](repeating: [], count: ranges.count)
    for token in tokens {
      // Ranges are ordered and cover every scored position.
      let index = ranges.firstIndex { token.scored.position < $0.upperBound }
      if let index { parts[index].append(token) }
    }
    return zip(ranges, parts).compactMap { range, part in
      part.isEmpty ? nil : Bucket(positions: range, figures: ComparisonFigures(part))
    }
  }

  /// The scored positions of the longest window in equal parts.
  ///
  /// Positions count from the start of the window, or from its middle if only the second half is scored.
  private static func ranges(_ windows: TokenWindows) -> [Range<Int>] {
    let length = windows.windows.map(\.range.count).max() ?? 0
    let first = windows.scoring == .secondHalf ? windows.context / 2 : 0
    let count = min(bucketCount, length - first)
    guard count > 0 else { return [] }
    let borders = (0...count).map { first + (length - first) * $0 / count }
    return zip(borders, borders.dropFirst()).map { $0..<$1 }
  }
}

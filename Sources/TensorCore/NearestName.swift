// SPDX-License-Identifier: Apache-2.0

/// Guesses which name was meant by one that does not exist.
///
/// Two names are as far apart as the fewest insertions, deletions, replacements and swaps of adjacent characters
/// that turn one into the other (optimal string alignment). Case does not count, and `-`, `_` and spaces are one character.
public enum NearestName {
  /// Longest name that is guessed about, in Unicode scalars: typing errors are shorter, and time grows with the square.
  private static let maximumLength = 512

  /// The name that was probably meant, or nil if none is close enough.
  ///
  /// A third of the characters may be wrong, but at least one and at most eight. Of names that are equally close,
  /// the one with the longer common beginning is taken, then the earlier one.
  ///
  /// - Parameters:
  ///   - name: What was given.
  ///   - candidates: What there is.
  /// - Returns: One of the candidates.
  /// - Complexity: The product of both lengths for each candidate of similar length.
  public static func of(_ name: String, among candidates: some Sequence<String>) -> String? {
    let given = folded(name)
    guard (1...maximumLength).contains(given.count) else { return nil }
    var limit = min(max(given.count / 3, 1), 8)
    var best: (name: String, distance: Int, prefix: Int)?
    for candidate in candidates {
      let other = folded(candidate)
      // A name of one or two characters is not a misspelling of another one that shares none of them.
      guard !other.isEmpty, let distance = distance(given, other, limit: limit),
        distance < max(given.count, other.count)
      else { continue }
      let prefix = zip(given, other).prefix { $0 == $1 }.count
      if let best, (best.distance, -best.prefix) <= (distance, -prefix) { continue }
      best = (candidate, distance, prefix)
      limit = distance
    }
    return best?.name
  }

  private static func folded(_ name: String) -> [Unicode.Scalar] {
    name.lowercased().unicodeScalars.map { "-_ ".unicodeScalars.contains($0) ? "-" : $0 }
  }

  /// The distance of two names; nil if it is above the limit.
  private static func distance(
    _ left: [Unicode.Scalar], _ right: [Unicode.Scalar], limit: Int
  ) -> Int? {
    guard abs(left.count - right.count) <= limit else { return nil }
    // Rows of the table of distances between beginnings of both: the one before the last, the last, the next.
    var earlier: [Int] = []
    var last = Array(0...right.count)
    for row in left.indices {
      var next = [row + 1]
      next.reserveCapacity(right.count + 1)
      for column in right.indices {
        let isSame = left[row] == right[column]
        var least = min(last[column] + (isSame ? 0 : 1), last[column + 1] + 1, next[column] + 1)
        if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
          least = min(least, earlier[column - 1] + 1)
        }
        next.append(least)
      }
      guard next.contains(where: { $0 <= limit }) else { return nil }
      (earlier, last) = (last, next)
    }
    return last[right.count] <= limit ? last[right.count] : nil
  }
}

// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Chooses a scheme for each part of a model so that all together lose least for their size.
///
/// What a part loses is taken to be independent of the others. Every part begins with its smallest scheme; then
/// the step that saves most for each byte is taken, again and again, as long as it fits. Only schemes on the lower
/// convex hull of size and loss are steps, so that a first step that pays little does not hide a
/// second one that pays much.
package struct BitAllocation: Sendable {
  /// A scheme that a part can have.
  package struct Choice: Sendable, Equatable {
    package let encoding: TensorEncoding
    /// Bytes of the part.
    package let byteCount: Int
    /// What is expected to be lost, in nats for each token.
    package let loss: Double

    package init(encoding: TensorEncoding, byteCount: Int, loss: Double) {
      self.encoding = encoding
      self.byteCount = byteCount
      self.loss = loss
    }
  }

  /// The choice of each part, in the order of the parts.
  package let choices: [Choice]
  /// Bytes of all parts.
  package var byteCount: Int { choices.reduce(0) { $0 + $1.byteCount } }
  /// What is expected to be lost in all.
  package var loss: Double { Self.loss(choices) }

  /// Chooses; nil if even the smallest schemes are too large.
  ///
  /// - Parameters:
  ///   - parts: The schemes that each part can have, at least one.
  ///   - limit: Bytes that all parts may have together.
  package init?(_ parts: [[Choice]], limit: Int) {
    let hulls = parts.map(Self.hull)
    guard hulls.allSatisfy({ !$0.isEmpty }), var best = Self.steps(hulls, limit: limit) else {
      return nil
    }
    // A large part may not fit any more when its turn comes, after much that pays less in all. So each choice of
    // each part is tried with the others chosen around it, as long as that helps.
    var isBetter = true
    while isBetter {
      isBetter = false
      for part in hulls.indices {
        for choice in hulls[part] where choice != best[part] {
          var fixed = hulls
          fixed[part] = [choice]
          guard let found = Self.steps(fixed, limit: limit), Self.loss(found) < Self.loss(best)
          else { continue }
          best = found
          isBetter = true
        }
      }
    }
    choices = best
  }

  /// Takes the steps that save most for each byte.
  ///
  /// - Returns: nil if even the first choices are too large.
  private static func steps(_ hulls: [[Choice]], limit: Int) -> [Choice]? {
    var places = [Int](repeating: 0, count: hulls.count)
    var left = limit - hulls.reduce(0) { $0 + $1[0].byteCount }
    guard left >= 0 else { return nil }
    while true {
      var best: (part: Int, gain: Double)?
      for (part, hull) in hulls.enumerated() where places[part] + 1 < hull.count {
        let (now, next) = (hull[places[part]], hull[places[part] + 1])
        guard next.byteCount - now.byteCount <= left else { continue }
        let gain = slope(now, next)
        if gain > best?.gain ?? 0 { best = (part, gain) }
      }
      guard let step = best?.part else { break }
      left -= hulls[step][places[step] + 1].byteCount - hulls[step][places[step]].byteCount
      places[step] += 1
    }
    return zip(hulls, places).map { $0[$1] }
  }

  private static func loss(_ choices: [Choice]) -> Double { choices.reduce(0) { $0 + $1.loss } }

  /// The choices between which nothing is better, from the smallest on: sizes rise, losses fall, and each
  /// step pays less for a byte than the one before.
  private static func hull(_ choices: [Choice]) -> [Choice] {
    var hull: [Choice] = []
    let sorted = choices.sorted { ($0.byteCount, $0.loss) < ($1.byteCount, $1.loss) }
    for choice in sorted {
      if let last = hull.last, choice.loss >= last.loss || choice.byteCount == last.byteCount {
        continue
      }
      while hull.count >= 2,
        slope(hull[hull.count - 2], hull[hull.count - 1]) <= slope(hull[hull.count - 1], choice)
      {
        hull.removeLast()
      }
      hull.append(choice)
    }
    return hull
  }

  /// What a byte saves between two choices.
  private static func slope(_ from: Choice, _ to: Choice) -> Double {
    (from.loss - to.loss) / Double(to.byteCount - from.byteCount)
  }
}

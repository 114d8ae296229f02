// SPDX-License-Identifier: Apache-2.0

/// Sides of a comparison that may have been rounded from the other one.
package struct RoundedSides: OptionSet, Sendable, Hashable {
  package let rawValue: Int

  package init(rawValue: Int) {
    self.rawValue = rawValue
  }

  /// The first checkpoint.
  package static let left = RoundedSides(rawValue: 1)
  /// The other one.
  package static let right = RoundedSides(rawValue: 2)
}

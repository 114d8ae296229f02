// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// A pattern for tensor names: `*` is any text, `?` one Unicode scalar, anything else itself.
package struct NamePattern: Hashable, Sendable {
  /// The pattern as the user wrote it.
  package let text: ExactString
  private let scalars: [Unicode.Scalar]

  /// Checks a pattern.
  ///
  /// - Returns: nil if `problem(in:)` finds one.
  package init?(_ text: String) {
    guard Self.problem(in: text) == nil else { return nil }
    self.text = ExactString(text)
    scalars = Array(text.unicodeScalars)
  }

  /// What is wrong with a pattern, in words; nil if nothing is.
  package static func problem(in text: String) -> String? {
    if text.isEmpty { return "an empty pattern matches no tensor" }
    // Shells and regular expressions give these a meaning, and users would expect it.
    if text.unicodeScalars.contains(where: { "[]{}\\".unicodeScalars.contains($0) }) {
      return "only * and ? are special in a pattern; brackets and backslashes are not supported"
    }
    return nil
  }

  /// Whether the pattern can match more than one name.
  package var hasWildcard: Bool { scalars.contains { $0 == "*" || $0 == "?" } }

  /// Whether the pattern matches the whole name.
  ///
  /// - Complexity: Length of the pattern times length of the name at worst: only the last `*` is
  ///   ever tried again, since a longer match of an earlier one cannot help.
  package func matches(_ name: ExactString) -> Bool { matches(Array(name.text.unicodeScalars)) }

  /// The same of a name that was taken apart before.
  func matches(_ name: [Unicode.Scalar]) -> Bool {
    var index = 0
    var position = 0
    var star: Int?
    var resume = 0
    while index < name.count {
      if position < scalars.count, scalars[position] == "*" {
        star = position
        resume = index
        position += 1
      } else if position < scalars.count,
        scalars[position] == "?" || scalars[position] == name[index]
      {
        position += 1
        index += 1
      } else if let star {
        resume += 1
        index = resume
        position = star + 1
      } else {
        return false
      }
    }
    return scalars[position...].allSatisfy { $0 == "*" }
  }
}

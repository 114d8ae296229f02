// SPDX-License-Identifier: Apache-2.0

/// What an error says about names that exist, where one was given that does not.
package enum Suggestion {
  /// The name that was probably meant, or the list of all if none is close.
  ///
  /// - Parameters:
  ///   - name: What was given.
  ///   - names: What there is.
  ///   - introduction: What the list is introduced with, such as `the schemes are`.
  /// - Returns: A clause to put behind the name that is wrong.
  package static func text(
    for name: String, among names: [String], of introduction: String
  ) -> String {
    if let nearest = NearestName.of(name, among: names) { return "; did you mean \(nearest)?" }
    return "; \(introduction) \(names.joined(separator: ", "))"
  }
}

// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// The variables of an environment: those of the process, or those that a test hands in.
package struct Environment: Sendable, ExpressibleByDictionaryLiteral {
  /// What the process was started with.
  package static let process = Environment(
    names: ProcessVariables.names, value: ProcessVariables.value)

  /// The names of all variables that are set.
  package let names: [String]
  private let value: @Sendable (_ name: String) -> String?

  private init(names: [String], value: @escaping @Sendable (_ name: String) -> String?) {
    self.names = names
    self.value = value
  }

  /// An environment with these variables and no others.
  package init(dictionaryLiteral elements: (String, String)...) {
    let variables = Dictionary(elements) { $1 }
    self.init(names: variables.keys.sorted()) { variables[$0] }
  }

  /// The value of a variable; nil if it is not set or empty, which POSIX tools treat alike.
  package subscript(_ name: String) -> String? {
    guard let text = value(name), !text.isEmpty else { return nil }
    return text
  }
}

// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import TensorCore

/// The variables of an environment: those of the process, or those that a test hands in.
package struct Environment: Sendable, ExpressibleByDictionaryLiteral {
  /// What the process was started with.
  package static let process = Environment(names: namesOfProcess) { name in
    unsafe getenv(name).map { unsafe text(of: $0) }
  }

  /// The names of all variables that are set.
  package let names: [String]
  private let value: @Sendable (_ name: String) -> String?

  private init(names: [String], value: @escaping @Sendable (_ name: String) -> String?) {
    self.names = names
    self.value = value
  }

  private static var namesOfProcess: [String] {
    var names: [String] = []
    var next = unsafe kiln_environment()
    while let variable = unsafe next?.pointee {
      names.append(String(unsafe text(of: variable).prefix { $0 != "=" }))
      unsafe next = next?.successor()
    }
    return names
  }

  private static func text(of characters: UnsafePointer<CChar>) -> String {
    let bytes = unsafe UnsafeBufferPointer(start: characters, count: strlen(characters))
    return unsafe ByteText.text(of: bytes.map { UInt8(bitPattern: $0) })
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

// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// The environment that the process was started with.
package enum ProcessVariables {
  /// The names of all variables that are set.
  package static var names: [String] {
    var names: [String] = []
    var next = unsafe kiln_environment()
    while let variable = unsafe next?.pointee {
      names.append(ByteText.text(of: Array(unsafe bytes(of: variable).prefix { $0 != equalsSign })))
      unsafe next = next?.successor()
    }
    return names
  }

  /// The value of a variable; nil if it is not set.
  package static func value(of name: String) -> String? {
    unsafe getenv(name).map { ByteText.text(of: unsafe bytes(of: $0)) }
  }

  private static let equalsSign = UInt8(ascii: "=")

  private static func bytes(of characters: UnsafePointer<CChar>) -> [UInt8] {
    unsafe UnsafeBufferPointer(start: characters, count: strlen(characters)).map {
      UInt8(bitPattern: $0)
    }
  }
}

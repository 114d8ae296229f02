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
      let bytes = unsafe UnsafeBufferPointer(start: variable, count: strlen(variable))
      let name = unsafe bytes.prefix { $0 != CChar(bitPattern: UInt8(ascii: "=")) }
      names.append(unsafe ByteText.text(of: name.map { UInt8(bitPattern: $0) }))
      unsafe next = next?.successor()
    }
    return names
  }
}

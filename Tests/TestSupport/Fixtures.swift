// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Files of the repository that tests read.
package enum Fixtures {
  /// A small trained checkpoint: 4 layers, 5.2 million parameters, one safetensors file.
  package static let nano = FilePath(#filePath)
    .removingLastComponent().removingLastComponent().appending("Fixtures").appending("nano")
}

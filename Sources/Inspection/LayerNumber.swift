// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// The layer that a tensor belongs to, by the habits of all model families.
package enum LayerNumber {
  /// What stands before the number, with the name of a collection of layers as its last part.
  private static let collections: Set<Substring> = [
    "layers", "h", "blocks", "layer", "block", "blk",
  ]

  /// The number behind the first part of the name that stands for a collection: `model.layers.3.…`,
  /// `transformer.h.3.…`, `blocks.3.…`.
  ///
  /// - Returns: nil if the name has no such part, or no number that can be a layer follows it.
  package static func of(_ name: ExactString) -> Int? {
    var isCollection = false
    for part in name.text.split(separator: ".", omittingEmptySubsequences: false) {
      if isCollection, part.utf8.count <= 6, part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let number = Int(part)
      {
        return number
      }
      isCollection = collections.contains(part)
    }
    return nil
  }
}

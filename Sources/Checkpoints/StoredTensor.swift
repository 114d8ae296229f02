// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// A named tensor of a checkpoint, with its bytes in place.
package struct StoredTensor: Sendable {
  /// Its name.
  package let name: ExactString
  /// Encoding, shape and bytes.
  package let tensor: EncodedTensor
  /// Element type in the checkpoint that the weights came from; for quantized tensors it tells
  /// what they were before.
  package let sourceDType: DType

  package init(name: ExactString, tensor: EncodedTensor, sourceDType: DType) {
    self.name = name
    self.tensor = tensor
    self.sourceDType = sourceDType
  }
}

extension ExactString {
  /// The parts of a tensor's name between its dots.
  ///
  /// Split by bytes: splitting by `Character` is most of the time it takes to open a checkpoint of
  /// twenty thousand tensors.
  var components: [Substring] {
    text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
      .map { Substring($0) }
  }
}

/// A file of a checkpoint that is not tensors: configuration, tokenizer, licence.
package struct AuxiliaryFile: Sendable {
  /// Its name, without a folder.
  package let name: String
  /// Its bytes.
  package let region: MappedRegion
}

// SPDX-License-Identifier: Apache-2.0

package import KilnFormat
package import TensorCore

/// A named tensor of a checkpoint: what it is, and a way to its bytes.
///
/// A copy is a reference: checkpoints have tens of thousands of tensors, and every plan and table that is made
/// for one has a place for each.
package struct StoredTensor: Sendable {
  private final class Description: Sendable {
    let name: ExactString
    let sourceDType: DType
    let content: Content
    let errors: KilnHeader.TensorErrors?

    init(
      name: ExactString, sourceDType: DType, content: Content,
      errors: KilnHeader.TensorErrors? = nil
    ) {
      self.name = name
      self.sourceDType = sourceDType
      self.content = content
      self.errors = errors
    }
  }

  private enum Content {
    case inPlace(EncodedTensor)
    /// Kept apart: this is large and rare, and there is a place for every tensor.
    indirect case compressed(KilnFile, KilnHeader.TensorEntry)
  }

  private let description: Description

  /// Its name.
  package var name: ExactString { description.name }

  /// How values are written.
  package var encoding: TensorEncoding {
    switch description.content {
    case .inPlace(let tensor): tensor.encoding
    case .compressed(_, let entry): entry.encoding
    }
  }

  /// Dimensions, row-major.
  package var shape: TensorShape {
    switch description.content {
    case .inPlace(let tensor): tensor.shape
    case .compressed(_, let entry): entry.shape
    }
  }

  /// Element type in the checkpoint that the weights came from; for quantized tensors it tells
  /// what they were before.
  package var sourceDType: DType { description.sourceDType }

  /// What rounding it has cost; nil unless a packed file says it.
  package var errors: KilnHeader.TensorErrors? { description.errors }

  /// The relative error of its weights; nil unless a packed file says it.
  package var weightError: Double? { errors?.weights }

  /// The relative error of its outputs on the calibration text; nil unless a packed file says it.
  package var outputError: Double? { errors?.outputs }

  /// A tensor whose bytes can be used where they are.
  package init(name: ExactString, tensor: EncodedTensor, sourceDType: DType) {
    description = Description(name: name, sourceDType: sourceDType, content: .inPlace(tensor))
  }

  /// A tensor of a packed file.
  ///
  /// - Throws: `KilnFormatError`.
  init(_ entry: KilnHeader.TensorEntry, in file: KilnFile) throws {
    description = Description(
      name: entry.name, sourceDType: entry.sourceDType,
      content: entry.extent.blockByteCounts == nil
        ? .inPlace(try file.load(entry, workers: Workers(count: 1))) : .compressed(file, entry),
      errors: entry.errors)
  }

  /// Bytes in its encoding.
  package var byteCount: Int {
    switch description.content {
    case .inPlace(let tensor): tensor.region.byteCount
    case .compressed: encoding.byteCount(shape) ?? 0
    }
  }

  /// Bytes in its file: fewer if it is compressed.
  package var storedByteCount: Int {
    switch description.content {
    case .inPlace(let tensor): tensor.region.byteCount
    case .compressed(_, let entry): entry.extent.range.count
    }
  }

  /// The tensor over its bytes in the file; nil if it is compressed.
  package var inPlace: EncodedTensor? {
    if case .inPlace(let tensor) = description.content { tensor } else { nil }
  }

  /// Whether its bytes must be unpacked into memory before they can be used.
  package var isCompressed: Bool {
    if case .compressed = description.content { true } else { false }
  }

  /// The tensor with its bytes: in place at once, or unpacked into memory.
  ///
  /// - Parameter workers: Threads that unpack.
  /// - Returns: The tensor; unpacked memory lives as long as that.
  /// - Throws: `KilnFormatError` for a damaged block, `FileError` if there is no memory.
  package func load(workers: Workers) throws -> EncodedTensor {
    switch description.content {
    case .inPlace(let tensor): tensor
    case .compressed(let file, let entry): try file.load(entry, workers: workers)
    }
  }
}

extension ExactString {
  /// The parts of a tensor's name between its dots.
  ///
  /// Split by bytes: splitting by `Character` is most of the time it takes to open a checkpoint of
  /// twenty thousand tensors.
  var components: [Substring] {
    let bytes = text.utf8
    var components: [Substring] = []
    components.reserveCapacity(8)
    var start = bytes.startIndex
    while let dot = bytes[start...].firstIndex(of: UInt8(ascii: ".")) {
      components.append(Substring(bytes[start..<dot]))
      start = bytes.index(after: dot)
    }
    components.append(Substring(bytes[start...]))
    return components
  }
}

/// A file of a checkpoint that is not tensors: configuration, tokenizer, licence.
package struct AuxiliaryFile: Sendable {
  /// Its name, without a folder.
  package let name: String
  /// Its bytes.
  package let region: MappedRegion
}

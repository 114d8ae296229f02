// SPDX-License-Identifier: Apache-2.0

import KilnFormat
package import TensorCore

/// A named tensor of a checkpoint: what it is, and a way to its bytes.
package struct StoredTensor: Sendable {
  private enum Content {
    case inPlace(EncodedTensor)
    /// Kept apart: this is large and rare, and tables have a place for every tensor.
    indirect case compressed(KilnFile, KilnHeader.TensorEntry)
  }

  /// Its name.
  package let name: ExactString
  /// How values are written.
  package let encoding: TensorEncoding
  /// Dimensions, row-major.
  package let shape: TensorShape
  /// Element type in the checkpoint that the weights came from; for quantized tensors it tells
  /// what they were before.
  package let sourceDType: DType
  private let content: Content

  /// A tensor whose bytes can be used where they are.
  package init(name: ExactString, tensor: EncodedTensor, sourceDType: DType) {
    self.name = name
    encoding = tensor.encoding
    shape = tensor.shape
    self.sourceDType = sourceDType
    content = .inPlace(tensor)
  }

  /// A tensor of a packed file.
  ///
  /// - Throws: `KilnFormatError`.
  init(_ entry: KilnHeader.TensorEntry, in file: KilnFile) throws {
    name = entry.name
    encoding = entry.encoding
    shape = entry.shape
    sourceDType = entry.sourceDType
    content =
      entry.extent.blockByteCounts == nil
      ? .inPlace(try file.load(entry, workers: Workers(count: 1))) : .compressed(file, entry)
  }

  /// Bytes in its encoding.
  package var byteCount: Int {
    switch content {
    case .inPlace(let tensor): tensor.region.byteCount
    case .compressed: encoding.byteCount(shape) ?? 0
    }
  }

  /// Bytes in its file: fewer if it is compressed.
  package var storedByteCount: Int {
    switch content {
    case .inPlace(let tensor): tensor.region.byteCount
    case .compressed(_, let entry): entry.extent.range.count
    }
  }

  /// The tensor over its bytes in the file; nil if it is compressed.
  package var inPlace: EncodedTensor? {
    if case .inPlace(let tensor) = content { tensor } else { nil }
  }

  /// Whether its bytes must be unpacked into memory before they can be used.
  package var isCompressed: Bool {
    if case .compressed = content { true } else { false }
  }

  /// The tensor with its bytes: in place at once, or unpacked into memory.
  ///
  /// - Parameter workers: Threads that unpack.
  /// - Returns: The tensor; unpacked memory lives as long as that.
  /// - Throws: `KilnFormatError` for a damaged block, `FileError` if there is no memory.
  package func load(workers: Workers) throws -> EncodedTensor {
    switch content {
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

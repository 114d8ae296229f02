// SPDX-License-Identifier: Apache-2.0

package import JSON
public import TensorCore

/// What a packed file says about itself: everything but the data.
public struct KilnHeader: Sendable {
  /// Bytes that one checksum covers.
  public static let blockByteCount = 1 << 20

  /// Program and version that wrote the file.
  public var producer: String
  /// The checkpoint that the file was made from.
  public var source: Source
  /// The recipe with which it was quantized; null after a lossless conversion.
  package var recipe: JSONValue
  /// Configuration and tokenizer files, in the order of their offsets.
  public var files: [FileEntry]
  /// Tensors, in the order of their offsets.
  public var tensors: [TensorEntry]
  /// How tensors of the source that were split or renamed are put together again.
  public var assemblies: [Assembly]

  /// Where the weights came from.
  public struct Source: Sendable, Equatable {
    /// `safetensors` or `kiln`.
    public var format: String
    /// Number of tensors.
    public var tensorCount: Int
    /// Bytes of all tensors.
    public var byteCount: Int

    package init(format: String, tensorCount: Int, byteCount: Int) {
      self.format = format
      self.tensorCount = tensorCount
      self.byteCount = byteCount
    }
  }

  /// The place of some bytes in the file, and their checksums.
  public struct Extent: Sendable, Equatable {
    /// Bytes from the start of the file.
    public var range: Range<Int>
    /// One checksum for each block of `blockByteCount` bytes.
    public var checksums: [UInt64]
  }

  /// One file that travels inside.
  public struct FileEntry: Sendable, Equatable {
    /// Its name, without a folder.
    public var name: String
    /// Its bytes.
    public var extent: Extent
  }

  /// One tensor.
  public struct TensorEntry: Sendable, Equatable {
    /// Name in the released dialect.
    public var name: ExactString
    /// How values are written.
    public var encoding: TensorEncoding
    /// Dimensions, row-major.
    public var shape: TensorShape
    /// Element type in the source.
    public var sourceDType: DType
    /// Its bytes.
    public var extent: Extent
  }

  /// A tensor of the source that is made of tensors of this file, one after the other.
  public struct Assembly: Sendable, Equatable {
    /// Name in the source.
    public var name: ExactString
    /// Element type in the source.
    public var dtype: DType
    /// Dimensions in the source.
    public var shape: TensorShape
    /// Names of the parts, in order.
    public var parts: [ExactString]

    package init(name: ExactString, dtype: DType, shape: TensorShape, parts: [ExactString]) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
      self.parts = parts
    }
  }
}

// MARK: - JSON

extension KilnHeader {
  /// The header as a JSON value, keys in the order of the format page.
  var json: JSONValue {
    [
      "producer": .string(producer),
      "source": [
        "format": .string(source.format),
        "tensors": .integer(source.tensorCount),
        "bytes": .integer(source.byteCount),
      ],
      "recipe": recipe,
      "block_bytes": .integer(Self.blockByteCount),
      "files": .array(
        files.map { file in
          .object([member("name", .string(file.name))] + file.extent.members)
        }),
      "tensors": .array(
        tensors.map { tensor in
          .object(
            [
              member("name", .string(tensor.name.text)),
              member("encoding", .string(tensor.encoding.description)),
              member("shape", tensor.shape.json),
              member("source_dtype", .string(tensor.sourceDType.rawValue)),
            ] + tensor.extent.members)
        }),
      "assemblies": .array(
        assemblies.map { assembly in
          [
            "name": .string(assembly.name.text),
            "dtype": .string(assembly.dtype.rawValue),
            "shape": assembly.shape.json,
            "parts": .array(assembly.parts.map { .string($0.text) }),
          ]
        }),
    ]
  }
}

private func member(_ key: ExactString, _ value: JSONValue) -> JSONMember {
  JSONMember(key: key, value: value)
}

extension KilnHeader.Extent {
  fileprivate var members: [JSONMember] {
    [
      member("offset", .integer(range.lowerBound)),
      member("bytes", .integer(range.count)),
      member("checksums", .array(checksums.map { .string(Checksum.text($0)) })),
    ]
  }
}

extension TensorShape {
  fileprivate var json: JSONValue { .array(dimensions.map { .integer($0) }) }
}

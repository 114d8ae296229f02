// SPDX-License-Identifier: Apache-2.0

package import JSON
public import TensorCore

/// What a packed file says about itself: everything but the data.
public struct KilnHeader: Sendable {
  /// Bytes of an entry that one block stands for.
  public static let blockByteCount = 1 << 20

  /// Blocks of an entry of so many bytes.
  static func blockCount(byteCount: Int) -> Int {
    byteCount / blockByteCount + (byteCount % blockByteCount == 0 ? 0 : 1)
  }

  /// Program and version that wrote the file.
  public var producer: String
  /// The checkpoint that the file was made from.
  public var source: Source
  /// The recipe with which it was quantized; null after a lossless conversion.
  package var recipe: JSONValue
  /// The calibration that chose its codes, and what was measured; null without one.
  package var calibration: JSONValue = .null
  /// Which part of a model this is, if it is cut into several files.
  public var shard: Shard?
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

  /// The place of one file among those of a model.
  public struct Shard: Sendable, Equatable {
    /// From 1 on.
    public var number: Int
    /// Files of the model.
    public var count: Int
    /// What the files of one conversion share.
    public var set: UInt64

    package init(number: Int, count: Int, set: UInt64) {
      self.number = number
      self.count = count
      self.set = set
    }
  }

  /// The place of some bytes in the file, and their checksums.
  public struct Extent: Sendable, Equatable {
    /// Bytes from the start of the file.
    public var range: Range<Int>
    /// One checksum for each block, over its bytes in the file.
    public var checksums: [UInt64]
    /// Bytes of each block in the file, of a compressed entry; nil if blocks are as they are.
    public var blockByteCounts: [Int]?

    package init(range: Range<Int>, checksums: [UInt64], blockByteCounts: [Int]? = nil) {
      self.range = range
      self.checksums = checksums
      self.blockByteCounts = blockByteCounts
    }

    /// Where the blocks are in the file, first to last.
    public var blocks: [Range<Int>] {
      var start = range.lowerBound
      guard let blockByteCounts else {
        return checksums.indices.map { index in
          start = range.lowerBound + index * KilnHeader.blockByteCount
          return start..<min(start + KilnHeader.blockByteCount, range.upperBound)
        }
      }
      return blockByteCounts.map { byteCount in
        defer { start += byteCount }
        return start..<start + byteCount
      }
    }
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
    /// What rounding it has cost; nil if it was not rounded by a calibration text.
    public var errors: TensorErrors?
  }

  /// What rounding a tensor has cost, as roots of squared error over squared norm.
  public struct TensorErrors: Sendable, Equatable {
    /// Of its weights.
    public var weights: Double
    /// Of the outputs of its product on the calibration text; nil if they were not measured.
    public var outputs: Double?

    /// Bytes that the header needs for it at most.
    static let maximumByteCount = 96

    package init(weights: Double, outputs: Double?) {
      self.weights = weights
      self.outputs = outputs
    }
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
  /// The header as JSON text, keys in the order of the format page.
  ///
  /// Entries become values one after the other: as values, all those of a large model take ten times the
  /// room of their text.
  func encoded() -> [UInt8] {
    let shard: [JSONMember] =
      self.shard.map { shard in
        [
          member(
            "shard",
            [
              "number": .integer(shard.number),
              "count": .integer(shard.count),
              "set": .string(Checksum.text(shard.set)),
            ])
        ]
      } ?? []
    return JSONWriter.compact(descriptionMembers + shard, then: contentMembers)
  }

  private var descriptionMembers: [JSONMember] {
    [
      member("producer", .string(producer)),
      member(
        "source",
        [
          "format": .string(source.format),
          "tensors": .integer(source.tensorCount),
          "bytes": .integer(source.byteCount),
        ]),
      member("recipe", recipe),
    ] + (calibration == .null ? [] : [member("calibration", calibration)]) + [
      member("block_bytes", .integer(Self.blockByteCount))
    ]
  }

  private var contentMembers: [JSONLongMember] {
    [
      JSONLongMember(key: "files", count: files.count) { index in
        .object([member("name", .string(files[index].name))] + files[index].extent.members)
      },
      JSONLongMember(key: "tensors", count: tensors.count) { index in
        let tensor = tensors[index]
        return .object(
          [
            member("name", .string(tensor.name.text)),
            member("encoding", .string(tensor.encoding.description)),
            member("shape", tensor.shape.json),
            member("source_dtype", .string(tensor.sourceDType.rawValue)),
          ] + tensor.extent.members + (tensor.errors?.members ?? []))
      },
      JSONLongMember(key: "assemblies", count: assemblies.count) { index in
        let assembly = assemblies[index]
        return [
          "name": .string(assembly.name.text),
          "dtype": .string(assembly.dtype.rawValue),
          "shape": assembly.shape.json,
          "parts": .array(assembly.parts.map { .string($0.text) }),
        ]
      },
    ]
  }
}

private func member(_ key: ExactString, _ value: JSONValue) -> JSONMember {
  JSONMember(key: key, value: value)
}

extension KilnHeader.TensorErrors {
  fileprivate var members: [JSONMember] {
    [member("weight_error", .number(weights))]
      + (outputs.map { [member("output_error", .number($0))] } ?? [])
  }

  /// Reads what a header says; nil where it says nothing, or nonsense: no reader needs it.
  init?(_ field: JSONField) {
    func error(_ key: String) -> Double? {
      guard let value = try? field[key].number(), value >= 0 else { return nil }
      return value
    }
    guard let weights = error("weight_error") else { return nil }
    self.init(weights: weights, outputs: error("output_error"))
  }
}

extension KilnHeader.Extent {
  /// What the header says about an entry's place, for the journal of a run.
  package var json: JSONValue { .object(members) }

  /// Reads what `json` gives; nothing is checked but that there is no nonsense in it.
  ///
  /// - Throws: A JSON error.
  package init(_ field: JSONField) throws {
    let offset = try field["offset"].integer(in: 0...Int.max / 4)
    let byteCount = try field["bytes"].integer(in: 0...Int.max / 4)
    self.init(
      range: offset..<offset + byteCount,
      checksums: try field["checksums"].array().map { element in
        guard let checksum = Checksum.parse(try element.string()) else {
          throw element.unexpected("16 hexadecimal digits")
        }
        return checksum
      },
      blockByteCounts: field["blocks"].value == nil
        ? nil
        : try field["blocks"].array().map {
          try $0.integer(in: 0...KilnHeader.blockByteCount)
        })
  }

  fileprivate var members: [JSONMember] {
    [
      member("offset", .integer(range.lowerBound)),
      member("bytes", .integer(range.count)),
      member("checksums", .array(checksums.map { .string(Checksum.text($0)) })),
    ] + (blockByteCounts.map { [member("blocks", .array($0.map { .integer($0) }))] } ?? [])
  }
}

extension TensorShape {
  fileprivate var json: JSONValue { .array(dimensions.map { .integer($0) }) }
}

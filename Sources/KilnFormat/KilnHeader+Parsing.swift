// SPDX-License-Identifier: Apache-2.0

import Compression
import JSON
import SystemPackage
import TensorCore

extension KilnHeader {
  /// Reads the header of a file whose prelude was checked, and checks it against the file.
  ///
  /// After this every entry lies inside the data, overlaps no other, has the size that its
  /// encoding and shape imply and a checksum for each block.
  ///
  /// - Throws: `KilnFormatError` or a JSON error that names the place.
  init(_ file: MappedFile, prelude: KilnPrelude) throws {
    let path = file.path
    let text = file.bytes.copy(KilnPrelude.byteCount..<prelude.dataOffset)
    let root = JSONField(
      file: path.string, root: try JSONValue(parsing: text, file: path.string))
    guard try root["block_bytes"].integer(in: 1...Int.max) == Self.blockByteCount else {
      throw root["block_bytes"].unexpected("\(Self.blockByteCount)")
    }
    let parser = EntryParser(
      path: path, dataOffset: prelude.dataOffset, file: file,
      permitsCompression: prelude.features.contains(.compression))
    self.init(
      producer: try root["producer"].string(),
      source: Source(
        format: try root["source"]["format"].string(),
        tensorCount: try root["source"]["tensors"].integer(in: 0...Int.max),
        byteCount: try root["source"]["bytes"].integer(in: 0...Int.max)),
      recipe: root["recipe"].value ?? .null,
      shard: prelude.features.contains(.shards) ? try parser.shard(root["shard"]) : nil,
      files: try root["files"].array().map { try parser.file($0) },
      tensors: try root["tensors"].array().map { try parser.tensor($0) },
      assemblies: try root["assemblies"].array().map { try parser.assembly($0) })
    if prelude.features.contains(.compression),
      !tensors.contains(where: { $0.extent.blockByteCounts != nil })
    {
      throw KilnFormatError.header(
        path, problem: "the prelude says that tensors are compressed, and none is")
    }
    calibration = root["calibration"].value ?? .null
    try checkNames(path)
    try checkPlaces(path, dataOffset: prelude.dataOffset, fileByteCount: file.byteCount)
    // The parts of an assembly may be in other shards: `KilnModel` looks at all of them.
    if shard == nil { try checkAssemblies(path) }
  }

  private func checkNames(_ path: FilePath) throws {
    var names = Set<ExactString>()
    for tensor in tensors where !names.insert(tensor.name).inserted {
      throw KilnFormatError.entry(path, name: tensor.name.text, problem: "is listed twice")
    }
    for name in tensors.map(\.name) + assemblies.map(\.name) where name == "__metadata__" {
      throw KilnFormatError.entry(path, name: name.text, problem: "is not the name of a tensor")
    }
    var fileNames = Set<ExactString>()
    for file in files {
      // The name becomes a file of an exported folder: it must not lead out of that folder.
      guard !file.name.isEmpty, file.name != ".", file.name != "..",
        !file.name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 })
      else {
        throw KilnFormatError.entry(path, name: file.name, problem: "is not a plain file name")
      }
      // Hidden names are those of outputs that are being written.
      guard !file.name.hasPrefix("."), !file.name.hasSuffix(".kiln"),
        !file.name.hasSuffix(".safetensors"), !file.name.hasSuffix(".safetensors.index.json")
      else {
        throw KilnFormatError.entry(
          path, name: file.name, problem: "is a name that Kiln gives to its own files")
      }
      guard fileNames.insert(ExactString(file.name)).inserted else {
        throw KilnFormatError.entry(path, name: file.name, problem: "is listed twice")
      }
    }
  }

  private func checkPlaces(_ path: FilePath, dataOffset: Int, fileByteCount: Int) throws {
    var end = dataOffset
    let places =
      files.map { ($0.name, $0.extent.range) } + tensors.map { ($0.name.text, $0.extent.range) }
    for (name, range) in places {
      guard range.lowerBound >= end, range.lowerBound % 64 == 0 else {
        throw KilnFormatError.entry(
          path, name: name,
          problem: "begins at byte \(range.lowerBound), expected a multiple of 64 from \(end) on")
      }
      end = range.upperBound
    }
    guard end == fileByteCount else {
      throw KilnFormatError.size(path, declared: UInt64(end), found: fileByteCount)
    }
  }

  /// Checks that every assembly is made of tensors that are there and fit.
  ///
  /// - Throws: `KilnFormatError.entry`.
  func checkAssemblies(_ path: FilePath) throws(KilnFormatError) {
    let shapes = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0) })
    var used = Set<ExactString>()
    for assembly in assemblies {
      var elementCount = 0
      for part in assembly.parts {
        guard let tensor = shapes[part], used.insert(part).inserted else {
          throw KilnFormatError.entry(
            path, name: assembly.name.text, problem: "part \"\(part)\" is missing or used twice")
        }
        let (sum, overflow) = elementCount.addingReportingOverflow(tensor.shape.elementCount)
        guard !overflow, tensor.sourceDType == assembly.dtype,
          tensor.encoding.canBecome(assembly.dtype)
        else {
          throw KilnFormatError.entry(
            path, name: assembly.name.text, problem: "part \"\(part)\" does not fit")
        }
        elementCount = sum
      }
      guard !assembly.parts.isEmpty else {
        throw KilnFormatError.entry(path, name: assembly.name.text, problem: "has no parts")
      }
      guard elementCount == assembly.shape.elementCount else {
        throw KilnFormatError.entry(
          path, name: assembly.name.text,
          problem: "parts have \(elementCount) elements, shape \(assembly.shape) has"
            + " \(assembly.shape.elementCount)")
      }
    }
    // A folder that is written from this file has the assemblies and what is part of none.
    var exported = Set(tensors.map(\.name)).subtracting(used)
    for assembly in assemblies where !exported.insert(assembly.name).inserted {
      throw KilnFormatError.entry(path, name: assembly.name.text, problem: "is given twice")
    }
  }
}

extension TensorEncoding {
  /// Whether values in this encoding can be written as elements of a type: kept, or computed.
  fileprivate func canBecome(_ dtype: DType) -> Bool {
    switch self {
    case .plain(let own): own == dtype || own.isComputable && dtype.isComputable
    case .quantized: dtype.isComputable
    }
  }
}

/// Turns JSON entries into checked values.
private struct EntryParser {
  let path: FilePath
  let dataOffset: Int
  let file: MappedFile
  let permitsCompression: Bool

  func shard(_ field: JSONField) throws -> KilnHeader.Shard {
    let count = try field["count"].integer(in: 1...KilnModel.maximumShardCount)
    return KilnHeader.Shard(
      number: try field["number"].integer(in: 1...count), count: count,
      set: try checksum(field["set"]))
  }

  func file(_ field: JSONField) throws -> KilnHeader.FileEntry {
    let name = try field["name"].string()
    let (range, checksums) = try place(field)
    try check(checksums, byteCount: range.count, field)
    return KilnHeader.FileEntry(
      name: name, extent: KilnHeader.Extent(range: range, checksums: checksums))
  }

  func tensor(_ field: JSONField) throws -> KilnHeader.TensorEntry {
    let name = ExactString(try field["name"].string())
    let encodingName = try field["encoding"].string()
    guard let encoding = TensorEncoding(name: encodingName) else {
      throw KilnFormatError.entry(
        path, name: name.text, problem: "unknown encoding \"\(encodingName)\"")
    }
    let shape = try shape(field["shape"], name: name)
    let (range, checksums) = try place(field)
    let expected = encoding.byteCount(shape)
    let blocks = try expected.flatMap { try blockByteCounts(field, byteCount: $0) }
    guard let expected, range.count == blocks?.reduce(0, +) ?? expected else {
      throw KilnFormatError.entry(
        path, name: name.text,
        problem: "\(encoding) \(shape) takes \(expected.map(String.init) ?? "no") bytes"
          + "\(blocks == nil ? "" : " before compression"), found \(range.count)")
    }
    try check(checksums, byteCount: expected, field)
    let extent = KilnHeader.Extent(range: range, checksums: checksums, blockByteCounts: blocks)
    return KilnHeader.TensorEntry(
      name: name, encoding: encoding, shape: shape,
      sourceDType: try dtype(field["source_dtype"]), extent: extent,
      errors: KilnHeader.TensorErrors(field))
  }

  func assembly(_ field: JSONField) throws -> KilnHeader.Assembly {
    let name = ExactString(try field["name"].string())
    return KilnHeader.Assembly(
      name: name, dtype: try dtype(field["dtype"]),
      shape: try shape(field["shape"], name: name),
      parts: try field["parts"].array().map { ExactString(try $0.string()) })
  }

  private func dtype(_ field: JSONField) throws -> DType {
    guard let dtype = DType(rawValue: try field.string()) else {
      throw field.unexpected("an element type such as \"BF16\"")
    }
    return dtype
  }

  private func shape(_ field: JSONField, name: ExactString) throws -> TensorShape {
    let dimensions = try field.array().map { try $0.integer(in: 0...Int.max) }
    guard let shape = TensorShape(dimensions) else {
      throw KilnFormatError.entry(path, name: name.text, problem: "its shape is too large")
    }
    return shape
  }

  private func place(_ field: JSONField) throws -> (Range<Int>, checksums: [UInt64]) {
    let offset = try field["offset"].integer(in: dataOffset...file.byteCount)
    let byteCount = try field["bytes"].integer(in: 0...file.byteCount - offset)
    return (offset..<offset + byteCount, try field["checksums"].array().map { try checksum($0) })
  }

  private func checksum(_ field: JSONField) throws -> UInt64 {
    guard let checksum = Checksum.parse(try field.string()) else {
      throw field.unexpected("16 hexadecimal digits")
    }
    return checksum
  }

  private func check(_ checksums: [UInt64], byteCount: Int, _ field: JSONField) throws {
    let blocks = KilnHeader.blockCount(byteCount: byteCount)
    guard checksums.count == blocks else {
      throw field["checksums"].unexpected("\(blocks) checksums")
    }
  }

  /// The blocks of a compressed tensor, none longer than its content and none too good to be true;
  /// nil if it is not compressed.
  private func blockByteCounts(_ field: JSONField, byteCount: Int) throws -> [Int]? {
    guard permitsCompression, field["blocks"].value != nil else { return nil }
    let counts = try field["blocks"].array()
    guard counts.count == KilnHeader.blockCount(byteCount: byteCount) else {
      throw field["blocks"].unexpected("\(KilnHeader.blockCount(byteCount: byteCount)) sizes")
    }
    return try counts.enumerated().map { index, count in
      let content = min(
        KilnHeader.blockByteCount, byteCount - index * KilnHeader.blockByteCount)
      return try count.integer(in: BlockCodec.minimumStoredByteCount(content)...content)
    }
  }
}

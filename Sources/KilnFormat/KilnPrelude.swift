// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore

/// The first 64 bytes of a packed file.
struct KilnPrelude: Equatable {
  static let byteCount = 64
  static let magic: [UInt8] = [0x89, 0x4B, 0x49, 0x4C, 0x4E, 0x0D, 0x0A, 0x1A]
  static let version: UInt32 = 1
  static let pageByteCount = 4096
  static let maximumHeaderByteCount = 1 << 26

  /// What a reader must be able to do.
  struct Features: OptionSet {
    let rawValue: UInt32
    /// Some tensors are compressed.
    static let compression = Features(rawValue: 1)
    /// The file is one shard of several.
    static let shards = Features(rawValue: 2)
    static let known: Features = [.compression, .shards]
  }

  let features: Features
  let headerByteCount: Int
  let fileByteCount: Int
  let headerChecksum: UInt64

  var dataOffset: Int { Self.byteCount + headerByteCount }

  /// The bytes as they stand in the file.
  func encoded() -> [UInt8] {
    var bytes = Self.magic
    func append<Value: FixedWidthInteger>(_ value: Value) {
      for index in 0..<MemoryLayout<Value>.size {
        bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index)))
      }
    }
    append(Self.version)
    append(features.rawValue)
    append(UInt32(0))
    append(UInt32(0))
    append(UInt64(headerByteCount))
    append(UInt64(dataOffset))
    append(UInt64(fileByteCount))
    append(headerChecksum)
    append(Checksum.of(bytes))
    return bytes
  }

  init(
    features: Features, headerByteCount: Int, fileByteCount: Int, headerChecksum: UInt64
  ) {
    self.features = features
    self.headerByteCount = headerByteCount
    self.fileByteCount = fileByteCount
    self.headerChecksum = headerChecksum
  }

  /// Reads and checks, in the order that the format page gives.
  init(_ file: MappedFile) throws(KilnFormatError) {
    let bytes = file.bytes
    let path = file.path
    guard bytes.byteCount >= Self.byteCount, bytes.copy(0..<Self.magic.count) == Self.magic else {
      throw .notKiln(path)
    }
    let version = bytes.load(at: 8, as: UInt32.self)
    guard version == Self.version else {
      throw .version(path, found: version, supported: Self.version)
    }
    guard bytes.load(at: 56, as: UInt64.self) == Checksum.of(bytes.extracting(0..<56)) else {
      throw .checksum(path, part: "prelude")
    }
    let features = Features(rawValue: bytes.load(at: 12, as: UInt32.self))
    let unknown = features.subtracting(.known)
    guard unknown.isEmpty else { throw .features(path, unknown: unknown.rawValue) }
    guard bytes.load(at: 20, as: UInt32.self) == 0 else {
      throw .header(path, problem: "the reserved field is not 0")
    }
    let declaredSize = bytes.load(at: 40, as: UInt64.self)
    guard UInt64(file.byteCount) == declaredSize else {
      throw .size(path, declared: declaredSize, found: file.byteCount)
    }
    let limit = min(Self.maximumHeaderByteCount, file.byteCount - Self.byteCount)
    guard let headerByteCount = Int(exactly: bytes.load(at: 24, as: UInt64.self)),
      headerByteCount <= limit
    else { throw .header(path, problem: "longer than the \(limit) bytes that it may have") }
    self.init(
      features: features, headerByteCount: headerByteCount, fileByteCount: file.byteCount,
      headerChecksum: bytes.load(at: 48, as: UInt64.self))
    guard dataOffset % Self.pageByteCount == 0,
      bytes.load(at: 32, as: UInt64.self) == UInt64(dataOffset)
    else { throw .header(path, problem: "data_offset does not follow from header_bytes") }
    let header = bytes.extracting(Self.byteCount..<dataOffset)
    guard Checksum.of(header) == headerChecksum else { throw .checksum(path, part: "header") }
  }
}

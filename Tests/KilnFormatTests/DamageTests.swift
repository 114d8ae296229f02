// SPDX-License-Identifier: Apache-2.0

import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Every kind of damage to a small packed file: damage to its head is found when it is opened,
/// damage to its data by its checksums.
@Suite struct DamageTests {
  @Test func `every flipped bit of prelude and header is found when the file is opened`() throws {
    let golden = try SamplePackedFile.golden()
    try TemporaryFolder.with { folder in
      let path = try folder.write(golden, as: "x.kiln")
      var accepted: [Int] = []
      for bit in 0..<4096 * 8 {
        try folder.patch("x.kiln", at: bit / 8, with: golden[bit / 8] ^ (1 << UInt8(bit % 8)))
        do {
          _ = try KilnFile(path)
          accepted.append(bit)
        } catch let error as KilnFormatError {
          #expect(bit / 8 < 12 || error.isChecksum)
        }
        try folder.patch("x.kiln", at: bit / 8, with: golden[bit / 8])
      }
      #expect(accepted.isEmpty)
      #expect(throws: Never.self) { try KilnFile(path) }
    }
  }

  @Test func `a file that is longer or shorter than it says is refused by its sizes`() throws {
    let golden = try SamplePackedFile.golden()
    try TemporaryFolder.with { folder in
      for size in [golden.count - 1, golden.count + 1, golden.count + 4096] {
        let path = try folder.write(golden, as: "x.kiln")
        try folder.extend("x.kiln", to: size)
        #expect(
          throws: KilnFormatError.size(path, declared: UInt64(golden.count), found: size)
        ) { try KilnFile(path) }
      }
    }
  }

  @Test func `every flipped bit of data is found in its own entry and in no other`() throws {
    let golden = try SamplePackedFile.golden()
    try TemporaryFolder.with { folder in
      let path = try folder.write(golden, as: "x.kiln")
      for bit in 4096 * 8..<golden.count * 8 {
        try folder.patch("x.kiln", at: bit / 8, with: golden[bit / 8] ^ (1 << UInt8(bit % 8)))
        let file = try KilnFile(path)
        let extents = file.header.files.map(\.extent) + file.header.tensors.map(\.extent)
        for extent in extents {
          #expect(file.isIntact(extent) == !extent.range.contains(bit / 8))
        }
        try folder.patch("x.kiln", at: bit / 8, with: golden[bit / 8])
      }
    }
  }

  @Test func `every truncation and some extensions are found when the file is opened`() throws {
    let golden = try SamplePackedFile.golden()
    try TemporaryFolder.with { folder in
      for count in 0..<golden.count {
        // Later ones only where something can change.
        guard count < 200 || count % 61 == 0 || count > golden.count - 70 else { continue }
        let path = try folder.write(Array(golden[..<count]), as: "x.kiln")
        let expected: KilnFormatError =
          count < 64 ? .notKiln(path) : .size(path, declared: UInt64(golden.count), found: count)
        #expect(throws: expected) { try KilnFile(path) }
      }
      for count in [1, 7, 64, 4096, 100_000] {
        let path = try folder.write(golden + [UInt8](repeating: 0, count: count), as: "x.kiln")
        #expect(
          throws: KilnFormatError.size(
            path, declared: UInt64(golden.count), found: golden.count + count)
        ) { try KilnFile(path) }
      }
    }
  }

  @Test func `other versions and unknown features are refused with their numbers`() throws {
    let golden = try SamplePackedFile.golden()
    let header = Array(golden[64..<4096])
    func open(_ prelude: [UInt8]) throws -> KilnFormatError? {
      try TemporaryFolder.with { folder in
        let path = try folder.write(prelude + golden[64...], as: "x.kiln")
        do {
          _ = try KilnFile(path)
          return nil
        } catch let error as KilnFormatError {
          return error
        }
      }
    }
    let size = golden.count
    for version in [0, 2, 256, .max] as [UInt32] {
      let error = try open(RawKiln.prelude(header: header, version: version, fileByteCount: size))
      guard case .version(_, version, 1)? = error else {
        Issue.record("version \(version): \(String(describing: error))")
        continue
      }
      // A later version may lay its prelude out in another way: the version is told first.
      let broken = golden.replacing(at: 8, with: version)
      guard case .version? = try open(Array(broken[..<64])) else {
        Issue.record("version \(version) without a checksum")
        continue
      }
    }
    for bit in 0..<32 {
      let features = UInt32(1) << UInt32(bit)
      #expect(
        try open(RawKiln.prelude(header: header, optional: features, fileByteCount: size)) == nil)
      // Compression and shards; see the tests of those.
      guard bit > 1 else { continue }
      let error = try open(RawKiln.prelude(header: header, required: features, fileByteCount: size))
      guard case .features(_, features)? = error else {
        Issue.record("feature \(bit): \(String(describing: error))")
        continue
      }
    }
    guard
      case .header? = try open(RawKiln.prelude(header: header, reserved: 1, fileByteCount: size))
    else {
      Issue.record("the reserved field is not looked at")
      return
    }
  }

  @Test(arguments: [
    0, 1, 4031, 4033, 8128, 1 << 28, (1 << 28) + 4032, UInt64(Int.max) - 63, UInt64(Int.max), .max,
    .max - 63,
  ])
  func `a header length that does not fit is refused`(length: UInt64) throws {
    let golden = try SamplePackedFile.golden()
    let header = Array(golden[64..<4096])
    try TemporaryFolder.with { folder in
      for dataOffset in [nil, 4096, 0, UInt64.max] as [UInt64?] {
        let prelude = RawKiln.prelude(
          header: header, headerByteCount: length, dataOffset: dataOffset,
          fileByteCount: golden.count)
        let path = try folder.write(prelude + golden[64...], as: "x.kiln")
        #expect(throws: KilnFormatError.self) { try KilnFile(path) }
      }
      let moved = RawKiln.prelude(header: header, dataOffset: length, fileByteCount: golden.count)
      let path = try folder.write(moved + golden[64...], as: "x.kiln")
      #expect(throws: KilnFormatError.self) { try KilnFile(path) }
    }
  }

  @Test func `other files are not packed files`() throws {
    try TemporaryFolder.with { folder in
      for bytes in [[], [0x89], Array("{}".utf8), RawSafetensors.file(header: "{}")] {
        let path = try folder.write(bytes, as: "x")
        #expect(throws: KilnFormatError.notKiln(path)) { try KilnFile(path) }
        #expect(!KilnFile.recognizes(try MappedFile(path)))
      }
    }
    #expect(KilnFile.recognizes(try MappedFile(SamplePackedFile.goldenPath)))
  }
}

extension KilnFormatError {
  fileprivate var isChecksum: Bool {
    if case .checksum = self { true } else { false }
  }
}

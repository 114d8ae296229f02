// SPDX-License-Identifier: Apache-2.0

import JSON
import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Compressed tensors: read from a file that another program made, written, damaged.
@Suite struct CompressedFileTests {
  private static let goldenPath = SamplePackedFile.folder.appending("tiny-v1-zstd.kiln")
  private let workers = Workers(count: 2)

  /// What the golden file holds, as the format page's walk-through says.
  private static let contents: [[UInt8]] = [
    (0..<(1 << 20) + 3).map { UInt8(truncatingIfNeeded: $0 / 4096) },
    [0x80, 0x3F, 0x00, 0xC0, 0x00, 0x3F, 0x00, 0x00],
    (0..<600).flatMap { index -> [UInt8] in [UInt8(0x80 + index * 37 % 128), 0x3F] },
    [UInt8](repeating: 0, count: 8192),
  ]

  @Test func `the reader unpacks the golden file`() throws {
    let file = try KilnFile(Self.goldenPath)
    #expect(
      file.header.tensors.map { $0.extent.blockByteCounts } == [[1649, 3], nil, [152], [19]])
    for (entry, content) in zip(file.header.tensors, Self.contents) {
      #expect(file.isIntact(entry.extent))
      let tensor = try file.load(entry, workers: workers)
      #expect(tensor.region.bytes.copy() == content, "\(entry.name)")
    }
  }

  @Test(arguments: [1, 3, 19])
  func `what is written compressed is read as it was`(level: Int) throws {
    var generator = SeededGenerator()
    let noise = (0..<5000).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    let contents = Self.contents + [noise, []]
    let encodings: [TensorEncoding] = [
      .plain(.u8), .plain(.bf16), .plain(.bf16), .plain(.f32), .plain(.u8), .plain(.f32),
    ]
    let tensors = try contents.indices.map { index in
      let width = encodings[index] == .plain(.f32) ? 4 : encodings[index] == .plain(.u8) ? 1 : 2
      return KilnLayout.Tensor(
        name: ExactString("t\(index)"), encoding: encodings[index],
        shape: try #require(TensorShape([contents[index].count / width])), sourceDType: .bf16,
        continuesRun: false)
    }
    let layout = try #require(
      KilnLayout(
        producer: "test",
        source: KilnHeader.Source(format: "safetensors", tensorCount: 6, byteCount: 0),
        recipe: .null, files: [KilnLayout.File(name: "config.json", byteCount: 7)],
        tensors: tensors, assemblies: [], isCompressed: true))
    try TemporaryFolder.with { folder in
      var files: [[UInt8]] = []
      for (threads, piece) in [(1, 1000), (2, 1 << 21)] {
        let name = "\(threads).kiln"
        let path = folder.path.appending(name)
        let writer = KilnWriter(
          layout, to: try OutputFile(path, replacing: false), level: level,
          workers: Workers(count: threads))
        unsafe try writer.write([UInt8](repeating: 7, count: 7).span.bytes)
        for content in contents {
          for start in stride(from: 0, to: content.count, by: piece) {
            let part = Array(content[start..<min(start + piece, content.count)])
            unsafe try writer.write(part.span.bytes)
          }
        }
        try writer.commit()
        files.append(try folder.read(name))
        let file = try KilnFile(path)
        for (entry, content) in zip(file.header.tensors, contents) {
          let loaded = try file.load(entry, workers: workers)
          #expect(loaded.region.bytes.copy() == content)
        }
        // Nothing to gain in noise, and nothing in four numbers.
        #expect(
          file.header.tensors.map { $0.extent.blockByteCounts == nil }
            == [false, true, false, false, true, true])
      }
      #expect(files[0] == files[1])
    }
  }

  @Test func `damage of a compressed block is found by its checksum, and is an error without it`()
    throws
  {
    let golden = try MappedFile(Self.goldenPath)
    let bytes = golden.bytes.copy()
    var generator = SeededGenerator()
    try TemporaryFolder.with { folder in
      for _ in 0..<300 {
        let bit = Int.random(in: 4160 * 8..<bytes.count * 8, using: &generator)
        var damaged = bytes
        damaged[bit / 8] ^= 1 << UInt8(bit % 8)
        let path = try folder.write(damaged, as: "x.kiln")
        let file = try KilnFile(path)
        for (entry, content) in zip(file.header.tensors, Self.contents) {
          let isHit = entry.extent.range.contains(bit / 8)
          #expect(file.isIntact(entry.extent) == !isHit)
          do {
            let loaded = try file.load(entry, workers: workers)
            #expect(isHit || loaded.region.bytes.copy() == content)
          } catch let error as KilnFormatError {
            #expect(isHit && error.description.contains("\(entry.name)"))
          }
        }
      }
    }
  }

  /// The refusal of the golden file with one piece of its header replaced.
  private func refusal(_ old: String, _ new: String, required: UInt32 = 1) throws -> String? {
    let golden = try MappedFile(Self.goldenPath)
    let header = String(decoding: golden.bytes.copy(64..<64 + 838), as: UTF8.self)
    let parts = header.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
    try #require(parts.count == 2, "\(old) is not in the header")
    return try TemporaryFolder.with { folder in
      let path = try folder.write(
        RawKiln.file(
          header: Array(parts.joined(separator: new).utf8),
          data: golden.bytes.copy(4096..<golden.byteCount), required: required),
        as: "x.kiln")
      do {
        _ = try KilnFile(path)
        return nil
      } catch let error as any KilnError {
        return "\(error)"
      }
    }
  }

  @Test func `block sizes must fit what the shape implies`() throws {
    #expect(try refusal("{\"producer\"", "{\"producer\"") == nil)
    for (old, new) in [
      // The sum, the count, less than the bound for 1 MiB and for 8 KiB, more than the content.
      ("[1649,3]", "[1648,3]"), ("[1649,3]", "[1652]"), ("[1649,3]", "[1649,3,0]"),
      ("[1649,3]", "[1023,629]"), ("[1649,3]", "[1648,4]"), ("[19]", "[7]"), ("[152]", "[1201]"),
      ("[152]", "[-1]"), ("[152]", "[9223372036854775807]"), ("[152]", "152"),
      ("[152]", "[\"152\"]"),
      ("[152]", "[]"), ("[600]", "[6000000000]"),
    ] {
      #expect(try refusal(old, new) != nil, "\(old) \(new)")
    }
    // No tensor is compressed then, though the prelude says so.
    let plain = try RawKiln.goldenHeader()
    try TemporaryFolder.with { folder in
      let path = try folder.write(
        RawKiln.file(header: Array(plain.utf8), data: try RawKiln.goldenData(), required: 1),
        as: "x.kiln")
      #expect(throws: KilnFormatError.self) { try KilnFile(path) }
    }
    // Without the feature, blocks mean nothing, and sizes are wrong.
    #expect(try refusal("{\"producer\"", "{\"producer\"", required: 0) != nil)
  }
}

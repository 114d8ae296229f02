// SPDX-License-Identifier: Apache-2.0

import JSON
import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// The writer and the reader against a file that was made from the format page by another program.
@Suite struct GoldenFileTests {
  @Test(arguments: [1, 5, 1000])
  func `the writer makes the golden file, whatever the pieces`(pieceByteCount: Int) throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x.kiln")
      try SamplePackedFile.write(to: path, pieceByteCount: pieceByteCount)
      #expect(try folder.read("x.kiln") == SamplePackedFile.golden())
      #expect(try folder.entries == ["x.kiln"])
    }
  }

  @Test func `the reader reads every field of the golden file`() throws {
    let file = try KilnFile(SamplePackedFile.goldenPath)
    let header = file.header
    #expect(header.producer == "kiln test vector")
    #expect(
      header.source
        == KilnHeader.Source(format: "safetensors", tensorCount: 6, byteCount: 118))
    #expect(header.recipe["default"] == "source")
    #expect(header.files.map(\.name) == ["config.json", "notes.txt"])
    let planned = try SamplePackedFile.layout().header
    #expect(header.tensors.map(\.name) == planned.tensors.map(\.name))
    #expect(header.tensors.map(\.encoding) == planned.tensors.map(\.encoding))
    #expect(header.tensors.map(\.shape) == planned.tensors.map(\.shape))
    #expect(header.tensors.map(\.sourceDType) == planned.tensors.map(\.sourceDType))
    #expect(header.assemblies == planned.assemblies)
    let extents = header.files.map(\.extent) + header.tensors.map(\.extent)
    #expect(
      extents.map(\.range.lowerBound)
        == [4096, 4160, 4160, 4224, 4288, 4352, 4416, 4480, 4544, 4608])
    for (extent, content) in zip(extents, SamplePackedFile.entries) {
      let region = file.region(of: extent)
      #expect(region.bytes.copy() == content)
      #expect(file.isIntact(extent))
      #expect(extent.checksums == (content.isEmpty ? [] : [Checksum.of(content)]))
    }
  }

  @Test func `the checksum is XXH3`() {
    // Known values of the algorithm for no bytes and for "a".
    #expect(Checksum.of([]) == 0x2D06_8005_38D3_94C2)
    #expect(Checksum.of([0x61]) == 0xE6C6_32B6_1E96_4E1F)
    // And what the plain function of the library gives for long inputs, whatever instructions
    // are used here.
    let bytes = (0..<(1 << 20) + 17).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 >> 8) }
    #expect(
      unsafe Checksum.ofBlocks(bytes.span.bytes, blockByteCount: 1 << 20)
        == [0xA7F4_639F_0CCB_FDA9, 0xF34C_3C9C_F5A1_12D1])
    #expect(Checksum.of(Array(bytes[3..<1003])) == 0xCAD2_BA20_5F4F_1780)
  }

  @Test func `entries of several blocks have a checksum for each, large ones begin at a page`()
    throws
  {
    let block = KilnHeader.blockByteCount
    let sizes = [1, block, block + 1, 2 * block, 65_535, 65_536, 3 * block - 7]
    let tensors = try sizes.enumerated().map { index, size in
      KilnLayout.Tensor(
        name: "t\(index)", encoding: .plain(.u8), shape: try #require(TensorShape([size])),
        sourceDType: .u8, continuesRun: index == 3)
    }
    let layout = try #require(
      KilnLayout(
        producer: "p", source: KilnHeader.Source(format: "kiln", tensorCount: 0, byteCount: 0),
        recipe: .null, files: [], tensors: tensors, assemblies: []))
    var random = SeededGenerator(seed: 5)
    let contents = sizes.map { size in
      (0..<size / 8 + 1).flatMap { _ in random.next().littleEndianBytes }.prefix(size)
    }
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x.kiln")
      let writer = KilnWriter(layout, to: try OutputFile(path, replacing: false))
      for content in contents {
        // Pieces that end inside blocks, at their ends and beyond them.
        for start in stride(from: 0, to: content.count, by: 700_001) {
          let piece = Array(content[start..<min(start + 700_001, content.count)])
          unsafe try writer.write(piece.span.bytes)
        }
      }
      try writer.commit()
      let file = try KilnFile(path)
      #expect(file.header.recipe == .null)
      for (tensor, content) in zip(file.header.tensors, contents) {
        let region = file.region(of: tensor.extent)
        #expect(region.bytes.copy() == Array(content))
        #expect(file.isIntact(tensor.extent))
        #expect(tensor.extent.checksums.count == (content.count + block - 1) / block)
        let startsPage = content.count >= 65_536 && tensor.name != "t3"
        #expect(tensor.extent.range.lowerBound % (startsPage ? 4096 : 64) == 0)
      }
      // The page rule costs no page where it does not hold.
      #expect(
        file.header.tensors[3].extent.range.lowerBound
          - file.header.tensors[2].extent.range.upperBound < 64)
    }
  }

  @Test func `a header that outgrows a page moves the data`() throws {
    for count in [10, 30, 31, 32, 33, 34, 100, 1000] {
      let shape = try #require(TensorShape([3]))
      let tensors = (0..<count).map {
        KilnLayout.Tensor(
          name: "tensor number \($0)", encoding: .plain(.u8), shape: shape, sourceDType: .u8,
          continuesRun: false)
      }
      let layout = try #require(
        KilnLayout(
          producer: "p", source: KilnHeader.Source(format: "kiln", tensorCount: 0, byteCount: 0),
          recipe: .null, files: [], tensors: tensors, assemblies: []))
      try TemporaryFolder.with { folder in
        let path = folder.path.appending("x.kiln")
        let writer = KilnWriter(layout, to: try OutputFile(path, replacing: false))
        let content: [UInt8] = [1, 2, 3]
        for _ in 0..<count { unsafe try writer.write(content.span.bytes) }
        try writer.commit()
        let file = try KilnFile(path)
        #expect(file.header.tensors.count == count)
        #expect(file.header.tensors.allSatisfy { file.isIntact($0.extent) })
        #expect(file.file.byteCount == layout.fileByteCount)
      }
    }
  }

  @Test func `what cannot be laid out is told, not trapped`() throws {
    func layout(_ encoding: TensorEncoding, _ shapes: [[Int]]) throws -> KilnLayout? {
      KilnLayout(
        producer: "p", source: KilnHeader.Source(format: "kiln", tensorCount: 0, byteCount: 0),
        recipe: .null, files: [],
        tensors: try shapes.map {
          KilnLayout.Tensor(
            name: "t", encoding: encoding, shape: try #require(TensorShape($0)),
            sourceDType: .bf16, continuesRun: false)
        }, assemblies: [])
    }
    #expect(try layout(.quantized(bits: 4, group: .size(32)), [[2, 33]]) == nil)
    #expect(try layout(.quantized(bits: 4, group: .row), [[2, 33]]) == nil)
    #expect(try layout(.plain(.f64), [[1 << 61]]) == nil)
    #expect(try layout(.plain(.u8), [[1 << 61], [1 << 61], [1 << 61]]) == nil)
    #expect(try layout(.plain(.u8), [[1 << 32], [1 << 32]]) != nil)
  }
}

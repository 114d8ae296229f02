// SPDX-License-Identifier: Apache-2.0

import JSON
import Safetensors
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Files that are odd but right: refusing one of them is as bad as a crash.
@Suite struct OddFileTests {
  private func open(_ bytes: [UInt8]) throws -> (header: SafetensorsHeader, regions: [[UInt8]]) {
    try TemporaryFolder.with { folder in
      let file = try SafetensorsFile(try folder.write(bytes, as: "x.safetensors"))
      let regions = file.header.entries.map { entry in
        let region = file.region(of: entry)
        return region.bytes.copy()
      }
      return (file.header, regions)
    }
  }

  private func entry(
    _ name: String, _ dtype: String, _ shape: [Int], _ start: Int, _ end: Int
  ) -> String {
    "\"\(name)\":" + RawSafetensors.entry(dtype, shape, start, end)
  }

  @Test(arguments: ["{}", "{} ", "{}   \n\r\t ", "{ }", "{\"__metadata__\":{}}"])
  func `a file without tensors`(header: String) throws {
    let file = try open(RawSafetensors.file(header: header))
    #expect(file.header.entries.isEmpty)
  }

  @Test(arguments: 0..<9)
  func `headers of any length, aligned or not, padded or not`(padding: Int) throws {
    let header =
      "{\(entry("a", "F32", [2], 0, 8))}" + String(repeating: " ", count: padding)
    let file = try open(RawSafetensors.file(header: header, dataByteCount: 8))
    #expect(file.regions == [[0, 1, 2, 3, 4, 5, 6, 7]])
  }

  @Test func `scalars and tensors of no elements`() throws {
    let header = """
      {\(entry("z", "F32", [0], 4, 4)),\(entry("s", "F32", [], 0, 4)),
       \(entry("y", "F32", [3, 0, 5], 4, 4)),\(entry("b", "U8", [1], 4, 5)),
       \(entry("e", "I64", [0, 1_000_000_000_000], 5, 5)),\(entry("o", "U8", [0], 0, 0))}
      """
    let file = try open(RawSafetensors.file(header: header, dataByteCount: 5))
    #expect(file.header.entries.map(\.name).first == "o")
    #expect(Set(file.header.entries.map(\.name)) == ["z", "s", "y", "b", "e", "o"])
    let scalar = try #require(file.header.entries.first { $0.name == "s" })
    #expect(scalar.shape.rank == 0 && scalar.shape.elementCount == 1)
    #expect(scalar.shape.rows == 1 && scalar.shape.columns == 1)
    #expect(file.regions.map(\.count).reduce(0, +) == 5)
  }

  @Test func `entries and keys in any order, keys that nobody knows, white space everywhere`()
    throws
  {
    let header = """
      { "b" : { "data_offsets" : [ 4 , 6 ] , "note" : [ {} ] , "shape" : [ 1 , 2 ] ,
        "dtype" : "U8" } , "__metadata__" : { "k" : "v" , "a" : "" } ,
        "a" : { "shape" : [ 4 ] , "dtype" : "I8" , "data_offsets" : [ 0 , 4 ] } }
      """
    let file = try open(RawSafetensors.file(header: header, dataByteCount: 6))
    #expect(file.header.entries.map(\.name) == ["a", "b"])
    #expect(file.regions == [[0, 1, 2, 3], [4, 5]])
    #expect(file.header.metadata.map(\.key) == ["k", "a"])
  }

  @Test func `every element type, at any alignment`() throws {
    var end = 0
    let entries = DType.allCases.map { dtype in
      let start = end
      end += dtype.bitWidth
      return entry(dtype.rawValue, dtype.rawValue, [2, 4], start, end)
    }
    let file = try open(
      RawSafetensors.file(header: "{\(entries.joined(separator: ","))}", dataByteCount: end))
    #expect(file.header.entries.map(\.dtype) == DType.allCases)
  }

  @Test func `names that differ in bytes are two, however alike they look`() throws {
    let names = ["\u{E9}", "e\u{301}", "\u{65}", "", " ", "a\\nb", "a/b", "../a", "\\u0000"]
    let file = try open(RawSafetensors.file(bytesOf: names.map { ($0, 1) }))
    #expect(file.header.entries.count == names.count)
    #expect(Set(file.header.entries.map(\.name)).count == names.count)
  }

  @Test func `metadata may be null`() throws {
    let file = try open(RawSafetensors.file(header: #"{"__metadata__":null}"#))
    #expect(file.header.metadata.isEmpty)
  }

  @Test func `what the writer makes is read back the same`() throws {
    var random = SeededGenerator(seed: 77)
    for count in [0, 1, 7, 40] {
      let tensors = try (0..<count).map { index in
        let dtype = try #require(
          DType.allCases.filter { $0.bitWidth >= 8 }.randomElement(using: &random))
        let dimensions = (0..<Int.random(in: 0..<4, using: &random)).map { _ in
          Int.random(in: 0..<5, using: &random)
        }
        let shape = try #require(TensorShape(dimensions))
        return ShardPlan.Tensor(
          name: ExactString("t\(index)\u{E9}\"\\\n"), dtype: dtype, shape: shape,
          byteCount: try #require(dtype.byteCount(elementCount: shape.elementCount)))
      }
      let plan = ShardPlan(tensors)
      let shard = try #require(plan.shards.first)
      #expect(plan.shards.count == 1 && shard.fileName == "model.safetensors")
      let encoded = shard.header.encoded()
      #expect(encoded.count % 8 == 0)
      let file = try open(encoded + [UInt8](repeating: 7, count: plan.byteCount))
      #expect(Set(file.header.entries.map(\.name)) == Set(tensors.map(\.name)))
      #expect(file.header.metadata.map(\.value) == ["pt"])
      // The reference writes wide elements first, so that all are aligned.
      for entry in file.header.entries {
        #expect(entry.range.lowerBound * 8 % entry.dtype.bitWidth == 0)
      }
    }
  }

  @Test func `shards are filled in order and named by number`() throws {
    let shape = try #require(TensorShape([10]))
    let tensors = (0..<7).map {
      ShardPlan.Tensor(name: ExactString("t\($0)"), dtype: .u8, shape: shape, byteCount: 10)
    }
    let plan = ShardPlan(tensors, shardByteCount: 25)
    #expect(plan.shards.map(\.tensors) == [[0, 1], [2, 3], [4, 5], [6]])
    #expect(plan.shards.map(\.fileName).first == "model-00001-of-00004.safetensors")
    #expect(plan.byteCount == 70)
    // A tensor that is larger than a shard gets one of its own.
    #expect(ShardPlan(tensors, shardByteCount: 1).shards.count == 7)
    let index = try SafetensorsIndex(parsing: SafetensorsIndex.encoded(plan), path: "index")
    #expect(index.shardOfTensor.count == 7 && index.shards.count == 4)
  }
}

// SPDX-License-Identifier: Apache-2.0

import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Several files that are one model.
@Suite struct ShardTests {
  private static let golden = SamplePackedFile.folder.appending("tiny-v1-shards")
  private static let names = ["model-00001-of-00002.kiln", "model-00002-of-00002.kiln"]

  private func file(_ index: Int) throws -> KilnFile {
    try KilnFile(Self.golden.appending(Self.names[index]))
  }

  /// The header text of a golden shard.
  private func header(_ index: Int) throws -> String {
    let file = try MappedFile(Self.golden.appending(Self.names[index]))
    let text = String(decoding: file.bytes.copy(64..<4096), as: UTF8.self)
    return String(text.prefix { $0 != " " })
      + text.drop { $0 != " " }.filter { $0 != " " }
  }

  @Test func `all shards in any order are the model`() throws {
    let model = try KilnModel(shards: [file(1), file(0)], folder: Self.golden)
    #expect(model.header.tensors.map(\.extent.range.lowerBound) == [4160, 4224, 4096])
    #expect(model.header.files.map(\.name) == ["config.json"])
    #expect(model.header.assemblies.map(\.parts.count) == [3])
    #expect(model.file(ofTensor: 2).file.path.lastComponent?.string == Self.names[1])
  }

  @Test func `one shard alone, twice or beside a stranger is refused`() throws {
    let (first, second) = (try file(0), try file(1))
    #expect(throws: KilnFormatError.self) { try KilnModel(first) }
    #expect(throws: KilnFormatError.self) { try KilnModel(shards: [first], folder: Self.golden) }
    #expect(throws: KilnFormatError.self) {
      try KilnModel(shards: [first, second, second], folder: Self.golden)
    }
    let whole = try KilnFile(SamplePackedFile.goldenPath)
    #expect(throws: KilnFormatError.self) {
      try KilnModel(shards: [first, whole], folder: Self.golden)
    }
    #expect(throws: KilnFormatError.self) {
      try KilnModel(shards: [whole], folder: Self.golden)
    }
  }

  @Test(
    "a second shard that does not fit is refused",
    arguments: [
      ("0123456789abcdef", "0123456789abcdee"), ("\"count\":2", "\"count\":3"),
      ("\"number\":2", "\"number\":1"), ("\"number\":2", "\"number\":3"),
      ("\"number\":2", "\"number\":0"), ("\"count\":2", "\"count\":100000"),
      ("\"tensors\":1", "\"tensors\":2"), ("v_conv1d", "k_conv1d"), ("v_conv1d", "w_conv1d"),
      ("[1,1,2]", "[1,2,1]"), ("\"recipe\":null", "\"recipe\":{}"), ("\"shard\"", "\"shart\""),
    ])
  func misfit(old: String, new: String) throws {
    let text = try header(1)
    try #require(text.contains(old))
    let data = try MappedFile(Self.golden.appending(Self.names[1]))
    try TemporaryFolder.with { folder in
      let bytes = RawKiln.file(
        header: Array(text.replacing(old, with: new, maxReplacements: 1).utf8),
        data: data.bytes.copy(4096..<data.byteCount), required: 2)
      let path = try folder.write(bytes, as: "x.kiln")
      // The shape alone is no contradiction: what counts is that the parts have all elements.
      if old == "[1,1,2]" {
        _ = try KilnModel(shards: [file(0), KilnFile(path)], folder: folder.path)
      } else {
        // A number that no shard can have is refused while the header is read.
        #expect(throws: (any Error).self) {
          try KilnModel(shards: [file(0), KilnFile(path)], folder: folder.path)
        }
      }
    }
  }
}

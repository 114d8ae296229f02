// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import JSON
import Kernels
import KilnFormat
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Without a recipe, what comes back is what went in, to the last bit.
@Suite struct LosslessTests {
  /// The files of a folder that are not weights.
  private func otherFiles(_ path: FilePath) throws -> [String: [UInt8]] {
    let files = try Checkpoint(path).files.map { file in
      let region = file.region
      return (file.name, region.bytes.copy())
    }
    return Dictionary(uniqueKeysWithValues: files)
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `tensors and files come back as they were, whatever dialect and shards`(
    checkpoint: TinyCheckpoint
  ) throws {
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder)
      let packed = folder.path.appending("x.kiln")
      let (plan, report) = try pack(source, to: packed)
      #expect(report.fileByteCount == plan.fileByteCount)
      let file = try KilnFile(packed)
      #expect(file.file.byteCount == plan.fileByteCount)
      #expect(file.header.tensors.allSatisfy { file.isIntact($0.extent) })
      #expect(file.header.files.allSatisfy { file.isIntact($0.extent) })
      #expect(file.header.recipe == .null)
      #expect(file.header.source.tensorCount == checkpoint.tensors.count)
      let names = Set(checkpoint.releasedTensors.map { ExactString($0.name) })
      #expect(Set(file.header.tensors.map(\.name)) == names)
      for (name, limit) in [("whole", 1 << 40), ("shards", 20_000), ("single", 1)] {
        let output = folder.path.appending(name)
        try export(packed, to: output, shardByteCount: limit)
        #expect(try storedTensors(output) == storedTensors(source))
        #expect(try otherFiles(output) == otherFiles(source))
        #expect(
          try folder.entries(of: name).contains("model.safetensors.index.json") == (limit < 1 << 40)
        )
      }
      // The way back starts from the same file, whatever way it took.
      let again = folder.path.appending("again.kiln")
      try pack(folder.path.appending("shards"), to: again)
      #expect(try folder.read("again.kiln") == folder.read("x.kiln"))
      let copy = folder.path.appending("copy.kiln")
      try pack(packed, to: copy)
      #expect(try folder.read("copy.kiln") == folder.read("x.kiln"))
      #expect(!(try folder.entries).contains { $0.contains("partial") })
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `the number of threads changes no byte`(checkpoint: TinyCheckpoint) throws {
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder)
      for threads in [1, 2, 8] {
        try pack(source, to: folder.path.appending("\(threads).kiln"), threads: threads)
        #expect(try folder.read("\(threads).kiln") == folder.read("1.kiln"))
        let output = folder.path.appending("\(threads)")
        try export(folder.path.appending("1.kiln"), to: output, threads: threads)
        #expect(
          try folder.read("\(threads)/model.safetensors") == folder.read("1/model.safetensors"))
      }
    }
  }

  @Test func `every bit pattern of BF16 survives, NaN payloads and infinities too`() throws {
    let checkpoint = TinyCheckpoint { $0.vocabularySize = 1024 }
    var tensors = checkpoint.tensors
    for (index, tensor) in tensors.enumerated() where tensor.name.contains("embed_tokens") {
      tensors[index].bytes = (0...UInt16.max).flatMap(\.littleEndianBytes)
    }
    try roundTrip(checkpoint, tensors)
  }

  @Test(arguments: [TinyCheckpoint.Dialect.released, .transformers], [DType.bf16, .f16, .f32])
  func `arbitrary bits survive in every tensor`(
    dialect: TinyCheckpoint.Dialect, dtype: DType
  ) throws {
    let checkpoint = TinyCheckpoint { ($0.dialect, $0.dtype) = (dialect, dtype) }
    var random = SeededGenerator(seed: 88)
    let tensors = checkpoint.tensors.map { tensor in
      var tensor = tensor
      tensor.bytes = tensor.bytes.map { _ in .random(in: 0...255, using: &random) }
      return tensor
    }
    try roundTrip(checkpoint, tensors)
  }

  @Test func `tensors that Kiln does not know come along`() throws {
    let checkpoint = TinyCheckpoint()
    let extra = [
      TinyTensor(name: "extra.u64", dtype: .u64, shape: [2], bytes: [UInt8](0..<16)),
      TinyTensor(name: "extra.f4", dtype: .f4, shape: [2, 3], bytes: [1, 2, 3]),
      TinyTensor(name: "extra.bool", dtype: .bool, shape: [], bytes: [1]),
      TinyTensor(name: "extra.none", dtype: .f32, shape: [3, 0], bytes: []),
      TinyTensor(name: "extra.rows", dtype: .bf16, shape: [1 << 62, 0], bytes: []),
      TinyTensor(name: "extra.\u{E9}", dtype: .u8, shape: [1], bytes: [1]),
      TinyTensor(name: "extra.e\u{301}", dtype: .u8, shape: [1], bytes: [2]),
    ]
    try roundTrip(checkpoint, checkpoint.tensors + extra)
  }

  private func roundTrip(_ checkpoint: TinyCheckpoint, _ tensors: [TinyTensor]) throws {
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder, tensors: tensors)
      let packed = folder.path.appending("x.kiln")
      try pack(source, to: packed)
      try export(packed, to: folder.path.appending("out"))
      let expected = tensors.sorted { ExactString($0.name) < ExactString($1.name) }
      let found = try storedTensors(folder.path.appending("out"))
        .sorted { ExactString($0.name) < ExactString($1.name) }
      #expect(found.count == expected.count)
      for (found, expected) in zip(found, expected) {
        #expect(found == expected, "\(expected.name)")
      }
    }
  }

  @Test func `the trained checkpoint comes back as it was`() throws {
    let nano = FilePath(#filePath).removingLastComponent().removingLastComponent()
      .appending("Fixtures/nano")
    try TemporaryFolder.with { folder in
      let packed = folder.path.appending("nano.kiln")
      try pack(nano, to: packed)
      try export(packed, to: folder.path.appending("nano"))
      let source = try MappedFile(nano.appending("model.safetensors"))
      // The reference implementation wrote it, in the order in which Kiln writes.
      #expect(try folder.read("nano/model.safetensors").count == source.byteCount)
      #expect(try storedTensors(folder.path.appending("nano")) == storedTensors(nano))
      #expect(try otherFiles(folder.path.appending("nano")) == otherFiles(nano))
    }
  }

  @Test func `an output that exists is refused and stays as it is`() throws {
    try TemporaryFolder.with { folder in
      let source = try TinyCheckpoint().write(to: folder)
      let packed = try folder.write("old", as: "x.kiln")
      #expect(throws: FileError.exists(packed)) { try pack(source, to: packed) }
      #expect(try folder.read("x.kiln") == Array("old".utf8))
      try pack(source, to: packed, replacing: true)
      try folder.makeFolder("out")
      #expect(throws: FileError.exists(folder.path.appending("out"))) {
        try export(packed, to: folder.path.appending("out"))
      }
      #expect(throws: FileError.self) {
        try pack(source, to: folder.path.appending("nowhere/x.kiln"))
      }
      #expect(try folder.entries == ["checkpoint", "out", "x.kiln"])
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import Safetensors
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What a path may lead to, and what is read around it.
@Suite struct CheckpointFolderTests {
  @Test func `a folder, one file of it and its shards are the same checkpoint`() throws {
    try TemporaryFolder.with { folder in
      var tiny = TinyCheckpoint()
      let single = try Checkpoint(try tiny.write(to: folder, as: "single"))
      tiny.shardCount = 5
      let sharded = try Checkpoint(try tiny.write(to: folder, as: "sharded"))
      let file = try Checkpoint(folder.path.appending("single/model.safetensors"))
      #expect(single.kind == .folder && sharded.kind == .folder && file.kind == .safetensors)
      #expect(sharded.dataFiles.count == 5 && single.dataFiles.count == 1)
      let names = Set(tiny.tensors.map { ExactString($0.name) })
      for checkpoint in [single, sharded, file] {
        #expect(Set(checkpoint.storedTensors.map(\.name)) == names)
        #expect(checkpoint.warnings.isEmpty && !checkpoint.isPacked && checkpoint.recipe == .null)
        #expect(try checkpoint.configuration()["vocab_size"].integer(in: 0...1000) == 96)
      }
      let carried = [
        "LICENSE", "config.json", "empty.txt", "tiktoken.model", "tokenizer_config.json",
      ]
      #expect(single.files.map(\.name) == carried)
      #expect(sharded.files.map(\.name) == carried)
      #expect(file.files.map(\.name) == carried && file.leftOut.isEmpty)
      // One shard of several is not the checkpoint: what else is there may not be its own.
      let shard = try Checkpoint(
        folder.path.appending("sharded/model-00001-of-00005.safetensors"))
      #expect(
        shard.files.map(\.name).sorted() == [
          "config.json", "tiktoken.model", "tokenizer_config.json",
        ])
      #expect(shard.leftOut.count == 1 && shard.leftOut[0].contains("LICENSE, empty.txt"))
    }
  }

  @Test func `the kind is found by content, not by name`() throws {
    try TemporaryFolder.with { folder in
      let bytes = RawSafetensors.file(bytesOf: [("a", 3)])
      for name in ["x.kiln", "x.bin", "x", "model.safetensors"] {
        #expect(try Checkpoint(try folder.write(bytes, as: "d/\(name)")).kind == .safetensors)
      }
      let vector = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent().appending("Formats/Vectors/tiny-v1.kiln")
      let packed = try MappedFile(vector)
      let path = try folder.write(packed.bytes.copy(), as: "y.safetensors")
      #expect(try Checkpoint(path).kind == .packed)
    }
  }

  @Test func `a folder without an index must have one file`() throws {
    try TemporaryFolder.with { folder in
      let bytes = RawSafetensors.file(bytesOf: [("a", 3)])
      try folder.makeFolder("empty")
      #expect(throws: CheckpointError.unrecognized(folder.path.appending("empty"))) {
        try Checkpoint(folder.path.appending("empty"))
      }
      try folder.write(bytes, as: "one/weights.safetensors")
      #expect(try Checkpoint(folder.path.appending("one")).storedTensors.count == 1)
      // A shard of several is not a checkpoint, even where it stands alone.
      try folder.write(bytes, as: "part/model-00001-of-00002.safetensors")
      #expect(throws: CheckpointError.missingIndex(folder.path.appending("part"), shards: 1)) {
        try Checkpoint(folder.path.appending("part"))
      }
      try folder.write(bytes, as: "two/a.safetensors")
      try folder.write(bytes, as: "two/b.safetensors")
      #expect(throws: CheckpointError.missingIndex(folder.path.appending("two"), shards: 2)) {
        try Checkpoint(folder.path.appending("two"))
      }
      #expect(throws: FileError.missing(folder.path.appending("none"))) {
        try Checkpoint(folder.path.appending("none"))
      }
    }
  }

  @Test func `the index decides what is in a shard`() throws {
    try TemporaryFolder.with { folder in
      func open(_ map: String) throws -> Checkpoint {
        try folder.write("{\"weight_map\":{\(map)}}", as: "m/model.safetensors.index.json")
        return try Checkpoint(folder.path.appending("m"))
      }
      try folder.write(RawSafetensors.file(bytesOf: [("a", 1), ("b", 2)]), as: "m/1.safetensors")
      try folder.write(RawSafetensors.file(bytesOf: [("b", 3), ("c", 4)]), as: "m/2.safetensors")
      let index = folder.path.appending("m/model.safetensors.index.json")
      let all = try open(
        #""a":"1.safetensors","b":"2.safetensors","c":"2.safetensors""#)
      #expect(all.storedTensors.map(\.name) == ["a", "b", "c"])
      #expect(all.storedTensors.map(\.byteCount) == [1, 3, 4])
      #expect(all.warnings.count == 1 && all.warnings[0].contains("1.safetensors: 1 tensor "))
      #expect(
        throws: SafetensorsError.missingTensor(index, name: "c", shard: "1.safetensors")
      ) { try open(#""a":"1.safetensors","c":"1.safetensors""#) }
      #expect(throws: FileError.missing(folder.path.appending("m/3.safetensors"))) {
        try open(#""a":"1.safetensors","c":"3.safetensors""#)
      }
      // A valid shard next door is out of reach.
      try folder.write(RawSafetensors.file(bytesOf: [("a", 1)]), as: "m_evil/1.safetensors")
      #expect(throws: SafetensorsError.self) { try open(#""a":"../m_evil/1.safetensors""#) }
      try folder.link("m/link.safetensors", to: "../m_evil/1.safetensors")
      #expect(throws: SafetensorsError.self) { try open(#""a":"link.safetensors""#) }
    }
  }

  @Test(.timeLimit(.minutes(1)))
  func `FIFOs and folders in the place of files are refused at once`() throws {
    try TemporaryFolder.with { folder in
      let tiny = TinyCheckpoint { $0.shardCount = 2 }
      for name in [
        "model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json",
      ] {
        let path = folder.path.appending(name)
        for (file, bytes) in tiny.files() where file != name {
          try folder.write(bytes, as: "\(name)/\(file)")
        }
        try folder.makeFIFO("\(name)/\(name)")
        #expect(throws: (any Error).self) { try Checkpoint(path).configuration() }
      }
      try folder.makeFIFO("fifo")
      #expect(throws: FileError.self) { try Checkpoint(folder.path.appending("fifo")) }
    }
  }

  @Test func `files of the folder come along, unless they are weights, links out or hidden`() throws
  {
    try TemporaryFolder.with { folder in
      let path = try TinyCheckpoint().write(to: folder, as: "m")
      for name in [".hidden", "old.bin", "x.gguf", "pytorch_model.bin.index.json", "y.kiln"] {
        try folder.write("x", as: "m/\(name)")
      }
      try folder.write("secret", as: "secret")
      try folder.write("x", as: "m/sub/file")
      try folder.link("m/notes.txt", to: "../secret")
      try folder.link("m/alias.txt", to: "LICENSE")
      try folder.write("caf\u{E9}", as: "m/caf\u{E9} \u{1F600}.txt")
      let checkpoint = try Checkpoint(path)
      #expect(
        checkpoint.files.map(\.name) == [
          "LICENSE", "alias.txt", "caf\u{E9} \u{1F600}.txt", "config.json", "empty.txt",
          "tiktoken.model", "tokenizer_config.json",
        ])
      #expect(checkpoint.warnings.count == 1 && checkpoint.warnings[0].contains("y.kiln"))
      let leftOut = checkpoint.leftOut.joined(separator: "\n")
      #expect(checkpoint.leftOut.count == 3)
      for name in ["notes.txt", "sub", "old.bin, pytorch_model.bin.index.json, x.gguf"] {
        #expect(leftOut.contains(name), "\(leftOut)")
      }
      #expect(try checkpoint.contents(of: "alias.txt") == Array("free\r\n".utf8))
      #expect(try checkpoint.contentsIfPresent(of: "nothing") == nil)
      #expect(throws: CheckpointError.missingFile(path, name: "nothing")) {
        try checkpoint.contents(of: "nothing")
      }
    }
  }

  @Test func `what is too large to be carried along is left out, and that is said`() throws {
    try TemporaryFolder.with { folder in
      let path = try TinyCheckpoint().write(to: folder, as: "m")
      let limit = Checkpoint.maximumFileByteCount
      for (name, size) in [("fits.txt", limit), ("large.txt", limit + 1)] {
        try folder.write("x", as: "m/\(name)")
        try folder.extend("m/\(name)", to: size)
      }
      let checkpoint = try Checkpoint(path)
      #expect(checkpoint.files.contains { $0.name == "fits.txt" })
      #expect(!checkpoint.files.contains { $0.name == "large.txt" })
      #expect(
        checkpoint.leftOut.contains { $0.contains("large.txt") && $0.contains("\(limit + 1)") })
    }
  }

  @Test func `a configuration over the limit is refused without being read`() throws {
    try TemporaryFolder.with { folder in
      let path = try TinyCheckpoint().write(to: folder, as: "m")
      try folder.extend("m/config.json", to: Checkpoint.maximumParsedByteCount + 1)
      let checkpoint = try Checkpoint(path)
      #expect(
        throws: FileError.tooLarge(
          path.appending("config.json"), size: Checkpoint.maximumParsedByteCount + 1,
          limit: Checkpoint.maximumParsedByteCount)
      ) { try checkpoint.configuration() }
    }
  }
}

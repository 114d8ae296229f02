// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Safetensors
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Which tensors of a folder are the checkpoint, when there are several sets of them.
@Suite struct FolderTensorsTests {
  /// A folder of files that hold one tensor each, which has the name of the file.
  private func open(
    _ files: [String], index: [String: [String]] = [:], others: [String: String] = [:],
    _ body: (Checkpoint) throws -> Void
  ) throws {
    try TemporaryFolder.with { folder in
      for file in files {
        try folder.write(
          RawSafetensors.file(bytesOf: [(String(file.split(separator: "/").last ?? ""), 3)]),
          as: "m/\(file)")
      }
      for (name, shards) in index {
        let map = shards.map { "\"\($0.split(separator: "/").last ?? "")\": \"\($0)\"" }
        try folder.write("{\"weight_map\":{\(map.joined(separator: ","))}}", as: "m/\(name)")
      }
      for (name, text) in others { try folder.write(text, as: "m/\(name)") }
      try body(try Checkpoint(folder.path.appending("m")))
    }
  }

  private static let shards = (1...2).map { "model-0000\($0)-of-00002.safetensors" }
  private static let indexed = [SafetensorsIndex.fileName: shards]

  @Test(
    arguments: [
      ["model.safetensors"], ["consolidated.safetensors"], ["adapter_model.safetensors"],
      ["model-00001-of-00009.safetensors", "model-00002-of-00009.safetensors"],
      ["copy.kiln"], ["model.fp32.safetensors.index.json"], ["model-00003-of-00002.safetensors"],
    ])
  func `the index wins, and what it does not name is reported`(strays: [String]) throws {
    let tensors = strays.filter { $0.hasSuffix(".safetensors") }
    let others = Dictionary(
      uniqueKeysWithValues: strays.filter { !tensors.contains($0) }.map { ($0, "x") })
    try open(Self.shards + tensors, index: Self.indexed, others: others) { checkpoint in
      #expect(checkpoint.storedTensors.map(\.name.text) == Self.shards)
      #expect(checkpoint.warnings.count == 1)
      for stray in strays { #expect(checkpoint.warnings.first?.contains(stray) == true) }
    }
  }

  @Test func `many left-over shards are named in part and counted`() throws {
    let old = (1...9).map { "model-0000\($0)-of-00009.safetensors" }
    try open(Self.shards + old, index: Self.indexed) { checkpoint in
      #expect(checkpoint.warnings.count == 1)
      #expect(checkpoint.warnings[0].contains("\(old[2]) and 6 more are left out"))
    }
  }

  @Test func `without an index the usual file wins`() throws {
    try open(["model.safetensors", "old.safetensors"], others: ["copy.kiln": "x"]) { checkpoint in
      #expect(checkpoint.storedTensors.map(\.name) == ["model.safetensors"])
      #expect(
        checkpoint.warnings.count == 1
          && checkpoint.warnings[0].contains("copy.kiln, old.safetensors"))
    }
    // An adapter is no second model.
    try open(["weights.safetensors", "adapter_model.safetensors"]) { checkpoint in
      #expect(checkpoint.storedTensors.map(\.name) == ["weights.safetensors"])
      #expect(checkpoint.warnings.first?.contains("adapter_model.safetensors") == true)
    }
  }

  @Test func `an index may name the usual single file, and folders and dots are one name`() throws {
    try open(
      ["model.safetensors", "sub/b.safetensors"],
      index: [SafetensorsIndex.fileName: ["./model.safetensors", "sub/./b.safetensors"]]
    ) { checkpoint in
      #expect(checkpoint.dataFiles.count == 2 && checkpoint.warnings.isEmpty)
    }
  }

  @Test func `an index of which nothing is there is no reason to take another file`() throws {
    try TemporaryFolder.with { folder in
      try folder.write(RawSafetensors.file(bytesOf: [("a", 3)]), as: "m/model.safetensors")
      try folder.write(
        "{\"weight_map\":{\"a\":\"x.safetensors\"}}", as: "m/\(SafetensorsIndex.fileName)")
      let home = folder.path.appending("m")
      #expect(
        throws: CheckpointError.staleIndex(
          home.appending(SafetensorsIndex.fileName), shard: "x.safetensors",
          file: "model.safetensors")
      ) { try Checkpoint(home) }
    }
  }

  @Test(
    arguments: [
      ("pytorch_model.bin", "PK\u{3}\u{4}", "ZIP"), ("model.gguf", "GGUF\u{3}", "GGUF"),
      ("pytorch_model.bin", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
      ("model.safetensors.incomplete", "x", "not finished"),
      ("model.onnx", "\u{8}\u{7}\u{12}\u{7}pytorch", "ONNX"),
    ])
  func `a folder of other weights is named for what it is`(
    name: String, content: String, expected: String
  ) throws {
    try TemporaryFolder.with { folder in
      try folder.write(content, as: "m/\(name)")
      try folder.write("{}", as: "m/config.json")
      do {
        _ = try Checkpoint(folder.path.appending("m"))
        Issue.record("accepted")
      } catch {
        #expect("\(error)".contains(name) && "\(error)".contains(expected), "\(error)")
      }
    }
  }

  @Test func `a shard whose link leads nowhere is an incomplete download`() throws {
    try TemporaryFolder.with { folder in
      try folder.write(
        "{\"weight_map\":{\"a\":\"x.safetensors\"}}", as: "m/\(SafetensorsIndex.fileName)")
      try folder.link("m/x.safetensors", to: "../blobs/abc")
      let home = folder.path.appending("m")
      #expect(throws: FileError.danglingLink(home.appending("x.safetensors"))) {
        try Checkpoint(home)
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import JSON
import Safetensors
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// The index of a sharded checkpoint, and where its names may lead.
@Suite struct IndexTests {
  private func index(_ text: String) throws -> SafetensorsIndex {
    try SafetensorsIndex(parsing: Array(text.utf8), path: "index.json")
  }

  @Test func `an index maps tensors to shards`() throws {
    let index = try index(
      """
      {"metadata": {"total_size": 5}, "weight_map": {"b": "2.safetensors", "a": "1.safetensors",
       "c": "2.safetensors", "d": "sub/3.safetensors"}, "x": [{}]}
      """)
    #expect(index.shardOfTensor["c"] == "2.safetensors")
    #expect(index.shards == ["1.safetensors", "2.safetensors", "sub/3.safetensors"])
  }

  @Test(arguments: [
    "", "{}", "[]", #"{"metadata":{}}"#, #"{"weight_map":[]}"#, #"{"weight_map":null}"#,
    #"{"weight_map":{"a":1}}"#, #"{"weight_map":{"a":null}}"#, #"{"weight_map":{}}"#,
    #"{"weight_map":{"a":"x"}}}"#, #"{"weight_map":{"a":"x","a":"y"}}"#,
    #"{"weight_map":{"a":"x"},"weight_map":{"a":"x"}}"#, #"{"weight_map":{"a":"x"}"#,
  ])
  func `an index of the wrong form is refused`(text: String) {
    #expect(throws: (any Error).self) { try index(text) }
  }

  @Test(arguments: [
    "../x.safetensors", "..", ".", "", "/etc/passwd", "a/../../x", "a/..", "a/.", "./", "./../x",
    "a/./../x", "a//b", "a/",
    "/", "x\\u0000y", "../checkpoint_evil/x",
  ])
  func `names that lead out of the folder are refused before anything is opened`(shard: String) {
    #expect(throws: SafetensorsError.self) { try index(#"{"weight_map":{"a":"\#(shard)"}}"#) }
  }

  @Test func `a dot before a name is no other name`() throws {
    let index = try index(
      #"{"weight_map":{"a":"./1.safetensors","b":"1.safetensors","c":"s/./2","d":"././s/2"}}"#)
    #expect(index.shards == ["1.safetensors", "s/2"])
    #expect(index.shardOfTensor["a"] == "1.safetensors")
  }

  @Test func `shard names are compared as bytes`() throws {
    let index = try index("{\"weight_map\":{\"a\":\"\u{E9}.x\",\"b\":\"e\u{301}.x\"}}")
    #expect(index.shards.count == 2)
    #expect(index.shardOfTensor["a"] == "\u{E9}.x")
    #expect(index.shardOfTensor["b"] == "e\u{301}.x")
  }

  /// The folder `model` in a temporary folder, with links whose targets are valid files.
  private func resolve(
    _ shard: String, in model: String = "model", _ prepare: (TemporaryFolder) throws -> Void
  ) throws -> FilePath {
    try TemporaryFolder.with { folder in
      try folder.makeFolder(model)
      try prepare(folder)
      let home = folder.path.appending(model)
      return try SafetensorsIndex.resolve(shard: shard, in: home, index: home.appending("index"))
    }
  }

  @Test func `links out of the folder are refused`() throws {
    for target in ["../other/x", "../model_evil/x", "../x", "/etc/hostname", "/dev/zero"] {
      #expect(throws: SafetensorsError.self, "\(target)") {
        try resolve("x.safetensors") { folder in
          for file in ["other/x", "model_evil/x", "x"] { try folder.write("x", as: file) }
          try folder.link("model/x.safetensors", to: target)
        }
      }
    }
    // A folder on the way may be the link, and links may lead to links.
    #expect(throws: SafetensorsError.self) {
      try resolve("sub/x") { folder in
        try folder.write("x", as: "other/x")
        try folder.link("model/sub", to: "../other")
      }
    }
    #expect(throws: SafetensorsError.self) {
      try resolve("x") { folder in
        try folder.write("x", as: "other/x")
        try folder.link("model/x", to: "y")
        try folder.link("model/y", to: "../other/x")
      }
    }
  }

  @Test func `links inside the folder are followed`() throws {
    _ = try resolve("x") { folder in
      try folder.write("x", as: "model/data/y")
      try folder.link("model/x", to: "data/y")
    }
    // The folder itself may be a link.
    _ = try TemporaryFolder.with { folder in
      try folder.write("x", as: "model/x")
      try folder.link("alias", to: "model")
      return try SafetensorsIndex.resolve(
        shard: "x", in: folder.path.appending("alias"), index: "index")
    }
  }

  @Test func `dangling links and loops are missing files`() throws {
    for target in ["nothing", "x"] {
      #expect(throws: FileError.self) {
        try resolve("x") { try $0.link("model/x", to: target) }
      }
    }
  }

  @Test func `the layout of the Hugging Face cache is accepted, and nothing else that is near it`()
    throws
  {
    let revision = "models--a--b/snapshots/0123abc"
    _ = try resolve("x.safetensors", in: revision) { folder in
      try folder.write("x", as: "models--a--b/blobs/hash")
      try folder.link("\(revision)/x.safetensors", to: "../../blobs/hash")
    }
    for file in [
      "models--a--b/blobs_evil/hash", "models--a--b/refs/hash", "models--c/blobs/hash",
      "blobs/hash",
    ] {
      #expect(throws: SafetensorsError.self, "\(file)") {
        try resolve("x", in: revision) { folder in
          try folder.makeFolder("models--a--b/blobs")
          try folder.write("x", as: file)
          try folder.link("\(revision)/x", to: folder.path.appending(file).string)
        }
      }
    }
    // Outside a snapshot, `blobs` is a folder like any other.
    #expect(throws: SafetensorsError.self) {
      try resolve("x", in: "models--a--b/other/0123abc") { folder in
        try folder.write("x", as: "models--a--b/blobs/hash")
        try folder.link("models--a--b/other/0123abc/x", to: "../../blobs/hash")
      }
    }
  }

  @Test(.timeLimit(.minutes(1)))
  func `a FIFO, a folder and a device are refused at once`() throws {
    try TemporaryFolder.with { folder in
      try folder.makeFIFO("x.safetensors")
      let fifo = folder.path.appending("x.safetensors")
      #expect(
        throws: FileError.notRegular(fifo, found: "a device, FIFO or socket")
      ) { try SafetensorsFile(fifo) }
      #expect(
        throws: FileError.notRegular(folder.path, found: "a folder")
      ) { try SafetensorsFile(folder.path) }
      #expect(throws: FileError.missing(folder.path.appending("none"))) {
        try SafetensorsFile(folder.path.appending("none"))
      }
    }
    #expect(throws: FileError.notRegular("/dev/zero", found: "a device, FIFO or socket")) {
      try SafetensorsFile("/dev/zero")
    }
  }
}

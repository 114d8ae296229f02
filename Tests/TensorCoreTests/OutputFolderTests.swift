// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A folder of files appears as a whole.
@Suite struct OutputFolderTests {
  private func write(_ names: [String], to path: FilePath, replacing: Bool) throws {
    let output = try OutputFolder(
      path, replacing: replacing, byteCount: 0, superseded: { $0.hasSuffix(".stale") })
    for name in names {
      let file = try output.file(named: name)
      try file.write(Array(name.utf8))
      try file.commit()
      #expect(FileKind(of: path.appending(name)) == nil || replacing)
    }
    try output.commit()
  }

  @Test func `a folder has its name only when it is complete`() throws {
    try TemporaryFolder.with { folder in
      try write(["a", "b"], to: folder.path.appending("out"), replacing: false)
      #expect(try folder.entries(of: "out") == ["a", "b"])
      #expect(try folder.read("out/b") == Array("b".utf8))
      #expect(try folder.entries == ["out"])
      try write([], to: folder.path.appending("empty/"), replacing: false)
      #expect(try folder.entries == ["empty", "out"])
    }
  }

  @Test func `an abandoned folder leaves nothing behind`() throws {
    try TemporaryFolder.with { folder in
      try folder.write("old", as: "out/old")
      for replacing in [true, false] {
        let name = replacing ? "out" : "new"
        let output = try OutputFolder(
          folder.path.appending(name), replacing: replacing, byteCount: 0)
        let complete = try output.file(named: "a")
        try complete.write([1])
        try complete.commit()
        let open = try output.file(named: "b")
        try open.write([1])
      }
      #expect(try folder.entries == ["out"])
      #expect(try folder.entries(of: "out") == ["old"])
    }
  }

  @Test func `what is superseded is replaced and the rest stays`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("out")
      try folder.write("1", as: "out/a")
      try folder.write("2", as: "out/b.stale")
      try folder.write("3", as: "out/mine")
      #expect(throws: FileError.exists(path)) { try write(["a"], to: path, replacing: false) }
      try write(["a", "new"], to: path, replacing: true)
      #expect(try folder.entries(of: "out") == ["a", "mine", "new"])
      #expect(try folder.read("out/a") == Array("a".utf8))
      #expect(try folder.read("out/mine") == Array("3".utf8))
      #expect(try folder.entries == ["out"])
    }
  }

  @Test func `what is not a folder of files, or has no place, is never replaced`() throws {
    try TemporaryFolder.with { folder in
      try folder.write("x", as: "file")
      try folder.write("x", as: "nested/sub/deep")
      for name in ["file", "missing/out", "nested"] {
        #expect(throws: FileError.self, "\(name)") {
          try write(["a"], to: folder.path.appending(name), replacing: true)
        }
      }
      #expect(throws: FileError.self) { try write(["a"], to: "/", replacing: true) }
      #expect(try folder.entries == ["file", "nested"])
      #expect(try folder.read("nested/sub/deep") == Array("x".utf8))
    }
  }

  @Test func `through a link the folder that it leads to is replaced`() throws {
    try TemporaryFolder.with { folder in
      try folder.write("old", as: "disk/elsewhere/file")
      try folder.link("out", to: "disk/elsewhere")
      try write(["a"], to: folder.path.appending("out"), replacing: true)
      #expect(try folder.entries(of: "disk/elsewhere") == ["a", "file"])
      #expect(try folder.entries(of: "out") == ["a", "file"])
      #expect(try folder.entries(of: "disk") == ["elsewhere"])
      #expect(try folder.entries == ["disk", "out"])
    }
  }

  @Test func `an error in a file of the folder names the folder that was asked for`() throws {
    try TemporaryFolder.with { folder in
      let output = try OutputFolder(folder.path.appending("out"), replacing: false, byteCount: 0)
      let first = try output.file(named: "a")
      try first.commit()
      #expect(throws: FileError.self) { try output.file(named: "a") }
    }
  }
}

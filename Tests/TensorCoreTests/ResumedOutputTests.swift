// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What a run that failed leaves for the next one, and who may have it.
@Suite struct ResumedOutputTests {
  private func content(_ file: MappedFile) -> [UInt8] { file.bytes.copy() }

  @Test
  func `bytes of a run that failed are there for the next, which goes on behind some of them`()
    throws
  {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x")
      do {
        let output = try OutputFile(path, replacing: false, resuming: true)
        try output.write([1, 2, 3, 4, 5])
      }
      #expect(try folder.entries == [".x.partial"])
      // What is there need not be written again: so much less room is needed.
      #expect {
        try OutputFile(path, replacing: false, byteCount: Int.max, resuming: true)
      } throws: { error in
        if case FileError.noSpace(path, needed: Int.max - 5, _) = error { true } else { false }
      }
      let output = try OutputFile(path, replacing: false, resuming: true)
      #expect(try content(output.existing()) == [1, 2, 3, 4, 5])
      try output.resume(at: 2)
      #expect(output.byteCount == 2)
      try output.write([9])
      try output.commit()
      #expect(try folder.read("x") == [1, 2, 9])
      #expect(try folder.entries == ["x"])
    }
  }

  @Test func `a run that does not resume removes what an earlier one left`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x")
      try folder.write([1, 2, 3], as: ".x.partial")
      let output = try OutputFile(path, replacing: false)
      try output.write([7])
      try output.commit()
      #expect(try folder.read("x") == [7])
    }
  }

  @Test func `an output that is being written is busy for everyone else`() throws {
    try TemporaryFolder.with { folder in
      let (file, tree) = (folder.path.appending("file"), folder.path.appending("tree"))
      let first = try OutputFile(file, replacing: false)
      let second = try OutputFolder(tree, replacing: false, byteCount: 0)
      for resuming in [false, true] {
        #expect(throws: FileError.busy(file)) {
          try OutputFile(file, replacing: true, resuming: resuming)
        }
        #expect(throws: FileError.busy(tree)) {
          try OutputFolder(tree, replacing: true, byteCount: 0, resuming: resuming)
        }
      }
      try first.commit()
      try second.commit()
      #expect(try folder.entries == ["file", "tree"])
    }
  }

  @Test func `another name of somebody's file is not written to`() throws {
    try TemporaryFolder.with { folder in
      let theirs = try folder.write([1, 2, 3], as: "theirs")
      #expect(unsafe link(theirs.string, folder.path.appending(".x.partial").string) == 0)
      let output = try OutputFile(folder.path.appending("x"), replacing: false, resuming: true)
      #expect(try content(output.existing()).isEmpty)
      try output.write([4])
      try output.commit()
      #expect(try folder.read("theirs") == [1, 2, 3] && folder.read("x") == [4])
    }
  }

  @Test func `files of a folder that is resumed are kept, looked at, and removed by name`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("out")
      do {
        let output = try OutputFolder(path, replacing: false, byteCount: 0, resuming: true)
        for name in ["a", "b", "c"] {
          let file = try output.file(named: name)
          try file.write(Array(name.utf8))
          try file.commit()
        }
        let half = try output.file(named: "d")
        try half.write([1, 2])
      }
      #expect(try folder.entries == [".out.partial"])
      let output = try OutputFolder(path, replacing: false, byteCount: 0, resuming: true)
      let second = try #require(output.existing(named: "b"))
      #expect(content(second) == Array("b".utf8))
      #expect(output.existing(named: "none") == nil)
      try output.removeFiles(except: ["a", "b", "d"])
      output.removeFile(named: "b")
      #expect(try folder.entries(of: ".out.partial") == [".d.partial", "a"])
      let half = try output.file(named: "d")
      #expect(try content(half.existing()) == [1, 2])
      try half.resume(at: 1)
      try half.commit()
      try output.commit()
      #expect(try folder.entries(of: "out") == ["a", "d"])
      #expect(try folder.read("out/d") == [1])
    }
  }

  @Test func `hidden names are those of the place that the output will have`() throws {
    try TemporaryFolder.with { folder in
      try folder.makeFolder("real/out")
      try folder.link("link", to: "real/out")
      let real = folder.path.appending("real")
      let resolved = try #require(OutputFile.hiddenPaths(for: folder.path.appending("link")).first)
      #expect(resolved.lastComponent == ".out.partial")
      #expect(FileIdentity(of: resolved.removingLastComponent()) == FileIdentity(of: real))
      #expect(
        OutputFile.hiddenPaths(for: real.appending("new"))
          == [real.appending(".new.partial"), real.appending(".new.journal")])
    }
  }
}

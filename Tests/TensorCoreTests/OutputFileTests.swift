// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// An output is there as a whole or not at all, and what was there before stays until then.
@Suite struct OutputFileTests {
  @Test func `a file has its name only when it is complete`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x")
      let output = try OutputFile(path, replacing: false)
      try output.write([1, 2, 3])
      #expect(FileKind(of: path) == nil)
      try output.pad(to: 6)
      try output.pad(to: 2)
      #expect(output.byteCount == 6)
      let patch: [UInt8] = [9, 8]
      unsafe try output.write(patch.span.bytes, at: 1)
      #expect(output.byteCount == 6)
      try output.write([])
      try output.commit()
      #expect(try folder.read("x") == [1, 9, 8, 0, 0, 0])
      #expect(try folder.entries == ["x"])
    }
  }

  @Test func `an abandoned file leaves nothing behind, and the old one as it was`() throws {
    try TemporaryFolder.with { folder in
      let path = try folder.write("old", as: "x")
      do {
        let output = try OutputFile(path, replacing: true)
        try output.write([1, 2, 3])
        #expect(try folder.entries.count == 2)
      }
      #expect(try folder.entries == ["x"])
      #expect(try folder.read("x") == Array("old".utf8))
    }
  }

  @Test func `what exists is refused, and replaced when that is asked for`() throws {
    try TemporaryFolder.with { folder in
      let path = try folder.write("old", as: "x")
      #expect(throws: FileError.exists(path)) { try OutputFile(path, replacing: false) }
      let output = try OutputFile(path, replacing: true)
      try output.write(Array("new".utf8))
      try output.commit()
      #expect(try folder.read("x") == Array("new".utf8))
      // A name that somebody else took in the meantime.
      let late = try OutputFile(folder.path.appending("y"), replacing: false)
      try folder.write("theirs", as: "y")
      #expect(throws: FileError.exists(folder.path.appending("y"))) { try late.commit() }
      #expect(try folder.read("y") == Array("theirs".utf8))
      #expect(try folder.entries == ["x", "y"])
    }
  }

  @Test func `folders, devices and folders that are not there are refused`() throws {
    try TemporaryFolder.with { folder in
      try folder.makeFolder("d")
      try folder.makeFIFO("fifo")
      for replacing in [false, true] {
        for name in ["d", "d/", "fifo", "missing/x", "", "d/.", "d/.."] {
          let path = folder.path.appending(name)
          #expect(throws: FileError.self, "\(name)") { try OutputFile(path, replacing: replacing) }
        }
      }
      #expect(throws: FileError.self) { try OutputFile("/", replacing: true) }
      #expect(throws: FileError.self) { try OutputFile("", replacing: true) }
      #expect(try folder.entries == ["d", "fifo"])
      #expect {
        try OutputFile(folder.path.appending("missing/x"), replacing: false)
      } throws: { error in
        (error as? FileError)?.category == .cannotCreateOutput
      }
    }
  }

  @Test func `more than the file system holds is refused before it is written`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x")
      #expect {
        try OutputFile(path, replacing: false, byteCount: Int.max)
      } throws: { error in
        if case FileError.noSpace(path, needed: Int.max, _) = error { true } else { false }
      }
      let entries = try folder.entries
      #expect(entries.isEmpty)
    }
  }

  @Test func `a full disk is an error and leaves the old file as it was`() throws {
    try TemporaryFolder.with { folder in
      try folder.makeFolder("small")
      guard folder.mountSmallFileSystem("small", byteCount: 1 << 16) else {
        print("skipped: mounting a file system needs root")
        return
      }
      defer { folder.unmount("small") }
      let path = try folder.write("old", as: "small/x")
      do {
        let output = try OutputFile(path, replacing: true)
        #expect {
          try output.write([UInt8](repeating: 1, count: 1 << 20))
        } throws: { error in
          (error as? FileError) == .system(path, operation: "write", .noSpace)
        }
      }
      #expect(try folder.entries(of: "small") == ["x"])
      #expect(try folder.read("small/x") == Array("old".utf8))
    }
  }

  @Test func `several writers do not meet`() throws {
    try TemporaryFolder.with { folder in
      let first = try OutputFile(folder.path.appending("a"), replacing: false)
      let second = try OutputFile(folder.path.appending("b"), replacing: false)
      try first.write([1])
      try second.write([2])
      try second.commit()
      try first.commit()
      #expect(try folder.read("a") == [1] && folder.read("b") == [2])
    }
  }

  @Test func `what another process put under the hidden name is not published`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x")
      do {
        let output = try OutputFile(path, replacing: false)
        try output.write([1, 2, 3])
        let other = try folder.write([4], as: ".other")
        let hidden = folder.path.appending(".x.partial")
        #expect(unsafe rename(other.string, hidden.string) == 0)
        #expect(throws: FileError.busy(path)) { try output.commit() }
      }
      // Nor is it removed: it is not ours.
      #expect(try folder.entries == [".x.partial"])
      #expect(try folder.read(".x.partial") == [4])
    }
  }

  @Test func `long names that begin alike have hidden names of their own`() throws {
    try TemporaryFolder.with { folder in
      let start = String(repeating: "n", count: 250)
      let first = try OutputFile(folder.path.appending(start + "1"), replacing: false)
      let second = try OutputFile(folder.path.appending(start + "2"), replacing: false)
      try first.commit()
      try second.commit()
      #expect(try folder.entries == [start + "1", start + "2"])
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What is in a folder, where its names lead, and folders that are not kept.
@Suite struct FolderTests {
  @Test func `links are followed to where they lead`() throws {
    try TemporaryFolder.with { folder in
      try folder.write("x", as: "models/a/file")
      try folder.write("x", as: "models/a/sub/deep")
      try folder.write("x", as: "models/ab/file")
      try folder.write("x", as: "secret")
      let home = folder.path.appending("models/a")
      for (name, target) in [
        ("near", "sub/deep"), ("round", "../a/file"), ("far", "../../secret"), ("gone", "nothing"),
        // A folder whose name only begins like this one.
        ("sibling", "../ab/file"),
      ] {
        try folder.link("models/a/\(name)", to: target)
      }
      for name in ["file", "sub/deep", "near", "round"] {
        #expect(FolderBoundary(of: name, in: home) == .inside, "\(name)")
      }
      for name in ["gone", "none"] {
        #expect(FolderBoundary(of: name, in: home) == .missing, "\(name)")
      }
      for (name, end) in [("far", "secret"), ("sibling", "ab/file"), ("../ab/file", "ab/file")] {
        guard case .outside(let place) = FolderBoundary(of: name, in: home) else {
          Issue.record("\(name) is not outside")
          continue
        }
        #expect(place.ends(with: FilePath(end)))
      }
    }
  }

  @Test func `in the layout of the Hugging Face cache blobs belong to a snapshot`() throws {
    try TemporaryFolder.with { folder in
      for place in ["hub/snapshots/1", "hub/other/1"] {
        try folder.makeFolder(place)
        try folder.link("\(place)/blob", to: "../../blobs/f00")
        try folder.link("\(place)/near", to: "../../elsewhere/f00")
      }
      try folder.write("x", as: "hub/blobs/f00")
      try folder.write("x", as: "hub/elsewhere/f00")
      func isInside(_ name: String, _ place: String) -> Bool {
        FolderBoundary(of: name, in: folder.path.appending(place)) == .inside
      }
      #expect(isInside("blob", "hub/snapshots/1") && !isInside("near", "hub/snapshots/1"))
      #expect(!isInside("blob", "hub/other/1"))
    }
  }

  @Test func `names are listed by their bytes, hidden ones included`() throws {
    try TemporaryFolder.with { folder in
      for name in ["b", "B", ".h", "\u{E9}", "e\u{301}", "a b"] { try folder.write("", as: name) }
      let names = try FolderListing.entries(of: folder.path)
      #expect(
        names.map { Array($0.utf8) }
          == [".h", "B", "a b", "b", "e\u{301}", "\u{E9}"].map { Array($0.utf8) })
      let missing = folder.path.appending("none")
      #expect(throws: FileError.missing(missing)) { try FolderListing.entries(of: missing) }
      #expect(throws: FileError.self) { try FolderListing.entries(of: folder.path.appending("b")) }
    }
  }

  @Test func `a scratch folder is gone with all that is in it`() throws {
    try TemporaryFolder.with { folder in
      do {
        let scratch = try ScratchFolder(in: folder.path, named: "scratch")
        let other = try ScratchFolder(in: folder.path, named: "scratch")
        #expect(scratch.path != other.path)
        #expect(
          try folder.entries.count == 2 && folder.entries.allSatisfy { $0.hasPrefix("scratch-") })
        let inside = TemporaryFolder(at: scratch.path)
        try inside.write("x", as: "a")
        try inside.write("x", as: "folder/b")
        try scratch.empty()
        #expect(try inside.entries == [])
        #expect(FileKind(of: scratch.path) == .directory)
        try inside.write("x", as: "a")
        try inside.write("x", as: "folder/b")
      }
      #expect(try folder.entries == [])
      #expect(throws: FileError.self) {
        try ScratchFolder(in: folder.path.appending("none"), named: "x")
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Files in memory, and which file a path leads to.
@Suite struct MappedFileTests {
  @Test func `bytes are those of the file, at any place`() throws {
    try TemporaryFolder.with { folder in
      let content = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      let file = try MappedFile(try folder.write(content, as: "x"))
      #expect(file.byteCount == 10_000)
      #expect(file.bytes.copy() == content)
      for range in [0..<10_000, 0..<0, 5..<4097, 9999..<10_000, -5..<5, 0..<1 << 40] {
        file.release(range)
      }
      #expect(file.bytes.copy() == content)
      let region = MappedRegion(file: file, range: 100..<200)
      #expect(region.part(10..<20).bytes.copy() == Array(content[110..<120]))
      #expect(region.part(10..<10).bytes.copy().isEmpty)
      #expect(file.bytes.load(at: 1, as: UInt32.self) == 0x1C15_0E07)
      #expect(file.bytes.equals(file.bytes) && !file.bytes.equals(region.bytes))
    }
  }

  @Test func `an empty file has no bytes`() throws {
    try TemporaryFolder.with { folder in
      let file = try MappedFile(try folder.write([UInt8](), as: "x"))
      #expect(file.byteCount == 0 && file.bytes.copy().isEmpty)
      file.release(0..<1)
    }
  }

  @Test(.timeLimit(.minutes(1)))
  func `what is not a regular file is refused at once`() throws {
    try TemporaryFolder.with { folder in
      try folder.makeFIFO("fifo")
      try folder.link("loop", to: "loop")
      try folder.link("dangling", to: "nothing")
      try folder.write("x", as: "file")
      func error(_ name: String) -> FileError? {
        do throws(FileError) {
          _ = try MappedFile(folder.path.appending(name))
          return nil
        } catch {
          return error
        }
      }
      #expect(error("file") == nil)
      #expect(error("") != nil)
      #expect(error("fifo")?.category == .badData)
      #expect(error("nothing")?.category == .missingInput)
      #expect(error("dangling")?.category == .missingInput)
      #expect(error("file/x")?.category == .missingInput)
      #expect(error("loop")?.category == .inputOutput)
      #expect(error(String(repeating: "x", count: 300))?.category == .inputOutput)
    }
  }

  @Test func `a file is the same under all of its names`() throws {
    try TemporaryFolder.with { folder in
      let path = try folder.write("x", as: "a")
      let other = try folder.write("x", as: "b")
      try folder.link("c", to: "a")
      let identity = try MappedFile(path).identity
      #expect(FileIdentity(of: folder.path.appending("c")) == identity)
      #expect(FileIdentity(of: folder.path.appending("./a")) == identity)
      #expect(FileIdentity(of: other) != identity)
      #expect(FileIdentity(of: folder.path.appending("none")) == nil)
    }
  }
}

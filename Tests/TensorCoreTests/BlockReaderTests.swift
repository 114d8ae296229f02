// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Synchronization
import SystemPackage
import TensorCore
import TestSupport
import Testing

@Suite struct BlockReaderTests {
  private static let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }

  private func read(_ reader: BlockReader, _ file: MappedFile, _ range: Range<Int>) throws
    -> [UInt8]
  {
    try reader.withBytes(of: MappedRegion(file: file, range: range)) { $0.copy() }
  }

  @Test func `ranges of any length, in any order, of several files`() throws {
    try TemporaryFolder.with { folder in
      let first = try MappedFile(folder.write(Self.content, as: "first"))
      let second = try MappedFile(folder.write(Array(Self.content.reversed()), as: "second"))
      let reader = BlockReader()
      for range in [5..<5, 0..<1, 299_999..<300_000, 0..<300_000, 4095..<12_289, 100_000..<300_000]
      {
        #expect(try read(reader, first, range) == Array(Self.content[range]))
        #expect(try read(reader, second, range) == Array(Self.content.reversed()[range]))
      }
    }
  }

  @Test func `many threads at once`() throws {
    try TemporaryFolder.with { folder in
      let file = try MappedFile(folder.write(Self.content, as: "x"))
      let reader = BlockReader()
      let wrong = Atomic(0)
      DispatchQueue.concurrentPerform(iterations: 300) { index in
        let range = index * 1000..<min(index * 1000 + 70_000, 300_000)
        let isRight = (try? read(reader, file, range)) == Array(Self.content[range])
        if !isRight { wrong.add(1, ordering: .relaxed) }
      }
      #expect(wrong.load(ordering: .relaxed) == 0)
    }
  }

  @Test func `a file that lost its name, or whose name another has, is read where it is mapped`()
    throws
  {
    try TemporaryFolder.with { folder in
      let path = try folder.write(Self.content, as: "x")
      let file = try MappedFile(path)
      unsafe unlink(path.string)
      #expect(try read(BlockReader(), file, 7..<9000) == Array(Self.content[7..<9000]))
      try folder.write(Array(Self.content.reversed()), as: "x")
      #expect(try read(BlockReader(), file, 7..<9000) == Array(Self.content[7..<9000]))
    }
  }

  @Test func `a file that became shorter is an error that says so`() throws {
    try TemporaryFolder.with { folder in
      let path = try folder.write(Self.content, as: "x")
      let file = try MappedFile(path)
      let reader = BlockReader()
      _ = try read(reader, file, 0..<100)
      try folder.extend("x", to: 5000)
      #expect(try read(reader, file, 0..<5000) == Array(Self.content[0..<5000]))
      #expect(throws: FileError.shrank(path, expected: 300_000, found: 5000)) {
        try read(reader, file, 4000..<6000)
      }
    }
  }
}

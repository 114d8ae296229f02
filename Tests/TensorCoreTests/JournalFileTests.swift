// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Lines about an output that a later run reads back.
@Suite struct JournalFileTests {
  private func text(_ lines: [[UInt8]]) -> [String] {
    lines.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func `lines of a run that is to be resumed stay, a line that was cut off does not count`()
    throws
  {
    try TemporaryFolder.with { folder in
      let output = folder.path.appending("x")
      do {
        let journal = try JournalFile(for: output, resuming: true)
        #expect(journal.path == folder.path.appending(".x.journal"))
        #expect(try journal.lines().isEmpty)
        try journal.append(Array("one".utf8))
        try journal.append([])
        try journal.append(Array("three".utf8))
      }
      let bytes = try folder.read(".x.journal")
      #expect(bytes == Array("one\n\nthree\n".utf8))
      try folder.write(bytes + Array("fou".utf8), as: ".x.journal")
      let journal = try JournalFile(for: output, resuming: true)
      #expect(try text(journal.lines()) == ["one", "", "three"])
      try journal.keep(5)
      try journal.append(Array("new".utf8))
      #expect(try text(journal.lines()) == ["one", "", "new"])
      try journal.clear()
      try journal.append(Array("first".utf8))
      #expect(try text(journal.lines()) == ["first"])
      journal.remove()
      #expect(try folder.entries == [])
    }
  }

  @Test func `a run that is not to be resumed begins anew and leaves none`() throws {
    try TemporaryFolder.with { folder in
      try folder.write("old\n", as: ".x.journal")
      do {
        let journal = try JournalFile(for: folder.path.appending("x"), resuming: false)
        #expect(try journal.lines().isEmpty)
        try journal.append([1])
        #expect(try folder.entries == [".x.journal"])
      }
      #expect(try folder.entries == [])
    }
  }

  @Test func `a journal with another name is not written to, and that of another run not removed`()
    throws
  {
    try TemporaryFolder.with { folder in
      let mine = try folder.write("mine\n", as: "mine")
      let output = folder.path.appending("x")
      #expect(unsafe link(mine.string, folder.path.appending(".x.journal").string) == 0)
      let journal = try JournalFile(for: output, resuming: true)
      try journal.append(Array("line".utf8))
      #expect(try folder.read("mine") == Array("mine\n".utf8))
      #expect(try text(journal.lines()) == ["line"])
      // Another run has put its own there.
      let other = try folder.write("theirs\n", as: ".other")
      #expect(unsafe rename(other.string, journal.path.string) == 0)
      journal.remove()
      #expect(try folder.read(".x.journal") == Array("theirs\n".utf8))
    }
  }
}

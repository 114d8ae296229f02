// SPDX-License-Identifier: Apache-2.0

import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A writer that goes on where another one ended.
@Suite struct ResumeTests {
  /// Writes the first entries of the sample and stops, as if the process had been killed.
  private func begin(_ path: FilePath, entries: Int) throws -> [KilnHeader.Extent] {
    let writer = KilnWriter(
      try SamplePackedFile.layout(),
      to: try OutputFile(path, replacing: false, resuming: true))
    for entry in SamplePackedFile.entries.prefix(entries) {
      unsafe try writer.write(entry.span.bytes)
    }
    return (0..<writer.completeEntries).map { writer.extent(of: $0) }
  }

  /// Goes on, and returns how many entries were taken over.
  private func goOn(_ path: FilePath, _ extents: [KilnHeader.Extent]) throws -> Int {
    let output = try OutputFile(path, replacing: false, resuming: true)
    let writer = KilnWriter(try SamplePackedFile.layout(), to: output)
    let count = try writer.resume(extents, in: try output.existing())
    for entry in SamplePackedFile.entries.dropFirst(count) {
      unsafe try writer.write(entry.span.bytes)
    }
    try writer.commit()
    return count
  }

  @Test func `the result is the same wherever the first run ended`() throws {
    for entries in 0...SamplePackedFile.entries.count {
      try TemporaryFolder.with { folder in
        let path = folder.path.appending("x.kiln")
        let extents = try begin(path, entries: entries)
        #expect(try folder.entries == [".x.kiln.partial"])
        #expect(try goOn(path, extents) == extents.count)
        #expect(try folder.read("x.kiln") == SamplePackedFile.golden())
        #expect(try folder.entries == ["x.kiln"])
      }
    }
  }

  @Test func `only what is as described is taken over`() throws {
    let golden = try SamplePackedFile.golden()
    try TemporaryFolder.with { folder in
      for (damaged, expected) in [(4096, 0), (4160, 2), (4224, 3), (4480, 7)] {
        let path = folder.path.appending("\(damaged).kiln")
        let extents = try begin(path, entries: 8)
        let partial = ".\(damaged).kiln.partial"
        var bytes = try folder.read(partial)
        bytes[damaged] ^= 1
        try folder.write(bytes, as: partial)
        #expect(try goOn(path, extents) == expected)
        #expect(try folder.read("\(damaged).kiln") == golden)
      }
      // A file that is shorter than its journal says.
      let path = folder.path.appending("short.kiln")
      let extents = try begin(path, entries: 8)
      let bytes = try folder.read(".short.kiln.partial")
      try folder.write(Array(bytes.prefix(4230)), as: ".short.kiln.partial")
      #expect(try goOn(path, extents) == 3)
      #expect(try folder.read("short.kiln") == golden)
    }
  }
}

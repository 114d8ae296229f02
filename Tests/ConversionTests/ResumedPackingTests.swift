// SPDX-License-Identifier: Apache-2.0

import Conversion
import KilnFormat
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What an earlier run has left is believed as far as checksums say, and not an entry further.
@Suite struct ResumedPackingTests {
  /// A run that ends at a late tensor, and what a whole one would have written.
  private struct Partial {
    let source: FailingSource
    let recipe: Recipe
    let options: PackingPlan.Options
    let whole: Packing.Report
    /// Tensors that the journal has.
    let noted: Int

    init(_ source: FailingSource, shardByteCount: Int? = nil) throws {
      self.source = source
      recipe = try ConversionTests.recipe("int4-g32")
      options = PackingPlan.Options(shardByteCount: shardByteCount)
      whole = try source.runPacking(to: "whole", recipe: recipe, options: options)
      let (job, parts) = (self.recipe, self.options)
      try source.damaged(tensor: source.tensors.count * 4 / 5) {
        try source.runPacking(to: "out", recipe: job, options: parts)
      }
      #expect(whole.statistics.reduce(0) { $0 + $1.nanCount } == 2)
      #expect(whole.statistics.reduce(0) { $0 + $1.infinityCount } == 1)
      noted = try source.journal(of: "out").count - 1 - source.fileCount
      // Some chunks that are ahead of the writer are lost, no more.
      #expect((source.tensors.count / 2..<source.tensors.count).contains(noted))
    }

    /// Goes on, to what a whole run gives.
    ///
    /// - Returns: Tensors that were taken over.
    func resume() throws -> Int {
      let report = try source.runPacking(to: "out", recipe: recipe, options: options)
      #expect(try source.contents("out") == source.contents("whole"))
      #expect(report.statistics == whole.statistics)
      #expect(report.fileByteCount == whole.fileByteCount && report.fileCount == whole.fileCount)
      #expect(try source.folder.entries.allSatisfy { !$0.hasPrefix(".") })
      return report.resumedTensorCount
    }
  }

  private func withPartial(
    shardByteCount: Int? = nil, _ body: (Partial) throws -> Void
  ) throws {
    try TemporaryFolder.with { folder in
      try body(Partial(FailingSource(in: folder), shardByteCount: shardByteCount))
    }
  }

  @Test(arguments: [nil, 20_000] as [Int?])
  func `a run goes on behind the last entry of its journal`(shardByteCount: Int?) throws {
    try withPartial(shardByteCount: shardByteCount) { partial in
      let resumed = try partial.resume()
      #expect(resumed == partial.noted)
    }
  }

  @Test(arguments: [nil, 20_000] as [Int?])
  func `what two runs have done is kept`(shardByteCount: Int?) throws {
    try withPartial(shardByteCount: shardByteCount) { partial in
      try partial.source.damaged(tensor: partial.source.tensors.count - 1) {
        try partial.source.runPacking(to: "out", recipe: partial.recipe, options: partial.options)
      }
      let noted = try partial.source.journal(of: "out").count - 1 - partial.source.fileCount
      #expect(noted > partial.noted)
      #expect(try partial.resume() == noted)
    }
  }

  @Test func `a changed digit in a line of the journal ends what is believed`() throws {
    try withPartial { partial in
      let folder = partial.source.folder
      let lines = try partial.source.journal(of: "out")
      let changed = lines.count / 2
      // What was measured, so that only the line's own checksum can tell.
      let place = try #require(lines[changed].firstRange(of: "\"elements\":"))
      var line = Array(lines[changed].utf8)
      let digit = lines[changed].utf8.distance(
        from: lines[changed].startIndex, to: place.upperBound)
      line[digit] = line[digit] == UInt8(ascii: "1") ? UInt8(ascii: "2") : UInt8(ascii: "1")
      let text =
        (lines[..<changed] + [String(decoding: line, as: UTF8.self)]
        + lines[(changed + 1)...]).joined(separator: "\n") + "\n"
      try folder.write(text, as: ".out.journal")
      #expect(try partial.resume() == changed - 1 - partial.source.fileCount)
    }
  }

  @Test func `a cut line ends what is believed`() throws {
    try withPartial { partial in
      let lines = try partial.source.journal(of: "out")
      let kept = lines.count / 2
      let text = lines[..<kept].joined(separator: "\n") + "\n" + lines[kept].dropLast(5)
      try partial.source.folder.write(text, as: ".out.journal")
      #expect(try partial.resume() == kept - 1 - partial.source.fileCount)
    }
  }

  @Test func `a changed byte of an entry, or of the padding before it, ends what is believed`()
    throws
  {
    for isPadding in [false, true] {
      try withPartial { partial in
        let header = try KilnFile(partial.source.folder.path.appending("whole")).header
        let ranges = (header.files.map(\.extent) + header.tensors.map(\.extent)).map(\.range)
        // An entry in the middle of what is there, with padding before it.
        let first = partial.source.fileCount + partial.noted / 2
        let entry = try #require(
          (first..<partial.source.fileCount + partial.noted).first {
            ranges[$0].lowerBound > ranges[$0 - 1].upperBound
          })
        let place = isPadding ? ranges[entry].lowerBound - 1 : ranges[entry].upperBound - 1
        let byte = try partial.source.folder.read(".out.partial")[place]
        try partial.source.folder.patch(".out.partial", at: place, with: byte ^ 1)
        #expect(try partial.resume() == entry - partial.source.fileCount)
      }
    }
  }

  /// Parts of a file in which a byte changes.
  enum Part: CaseIterable {
    case header, firstEntry, padding, lastEntry
  }

  @Test(arguments: Part.allCases)
  func `a file of a folder that is complete is looked at, byte by byte`(part: Part) throws {
    try withPartial(shardByteCount: 40_000) { partial in
      let name = try #require(
        try partial.source.folder.entries(of: ".out.partial").first {
          $0.hasPrefix("model-00001-of-")
        })
      let file = try KilnFile(partial.source.folder.path.appending(".out.partial/\(name)"))
      let last = try #require(file.header.tensors.last)
      let place =
        switch part {
        case .header: 70
        case .firstEntry: try #require(file.header.files.first).extent.range.lowerBound
        case .padding: try #require(file.paddings.last).lowerBound
        case .lastEntry: last.extent.range.upperBound - 1
        }
      let byte = file.file.bytes.copy(place..<place + 1)[0]
      try partial.source.folder.patch(".out.partial/\(name)", at: place, with: byte ^ 2)
      // What follows was noted behind it and is not believed either.
      #expect(try partial.resume() == 0)
    }
  }

  @Test func `another recipe, or a source that was written to, is another job`() throws {
    try withPartial { partial in
      let other = try recipe("int8-g32")
      let report = try partial.source.runPacking(to: "out", recipe: other)
      #expect(report.resumedTensorCount == 0)
      try partial.source.runPacking(to: "expected", recipe: other, resuming: false)
      #expect(try partial.source.folder.read("out") == partial.source.folder.read("expected"))
    }
    try withPartial { partial in
      try partial.source.setTime(1_700_000_001)
      #expect(try partial.resume() == 0)
    }
  }

  @Test func `a run that is not to be resumed takes nothing over and leaves nothing`() throws {
    try withPartial { partial in
      let report = try partial.source.runPacking(to: "out", recipe: partial.recipe, resuming: false)
      #expect(report.resumedTensorCount == 0)
      #expect(try partial.source.contents("out") == partial.source.contents("whole"))
      let before = try partial.source.folder.entries
      try partial.source.damaged(tensor: partial.source.tensors.count - 1) {
        try partial.source.runPacking(to: "other", recipe: partial.recipe, resuming: false)
      }
      #expect(try partial.source.folder.entries == before)
    }
  }
}

/// The same of folders of safetensors files.
@Suite struct ResumedExportTests {
  private func withPartial(
    shardByteCount: Int, _ body: (FailingSource, _ noted: Int) throws -> Void
  ) throws {
    try TemporaryFolder.with { folder in
      // Fused tensors, which are made of several.
      let source = try FailingSource(
        TinyCheckpoint { ($0.dialect, $0.queryRank) = (.transformers, 24) }, in: folder)
      try source.runExport(to: "whole", shardByteCount: shardByteCount)
      try source.damaged(tensor: source.tensors.count - 2) {
        try source.runExport(to: "out", shardByteCount: shardByteCount)
      }
      let noted = try source.journal(of: "out").count - 1
      #expect(noted > 20)
      try body(source, noted)
      #expect(try source.contents("out") == source.contents("whole"))
      #expect(try folder.entries.allSatisfy { !$0.hasPrefix(".") })
    }
  }

  @Test(arguments: [1 << 40, 30_000])
  func `a run goes on behind the last tensor of its journal`(shardByteCount: Int) throws {
    try withPartial(shardByteCount: shardByteCount) { source, noted in
      let resumed = try source.runExport(to: "out", shardByteCount: shardByteCount)
      #expect(resumed == noted)
    }
  }

  @Test(arguments: [1 << 40, 30_000])
  func `a changed byte ends what is believed`(shardByteCount: Int) throws {
    try withPartial(shardByteCount: shardByteCount) { source, noted in
      let name = try #require(
        try source.folder.entries(of: ".out.partial").filter { $0.contains(".safetensors") }
          .sorted().last)
      let bytes = try source.folder.read(".out.partial/\(name)")
      let place = bytes.count / 2
      try source.folder.patch(".out.partial/\(name)", at: place, with: bytes[place] ^ 1)
      #expect(try source.runExport(to: "out", shardByteCount: shardByteCount) < noted)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import KilnCommands
import Reports
import TestSupport
import Testing

@Suite("A line of progress")
struct ProgressLineTests {
  private let line = ProgressLine(
    activity: "quantize", detail: "model.layers.5.block_sparse_moe.experts.12.w1.weight",
    share: 0.432, rate: "57.3 MB/s", elapsed: 12, remaining: 3_723)

  @Test("is never as wide as the terminal", arguments: [true, false])
  func width(_ isUTF8: Bool) {
    var wide = line
    wide.detail = String(repeating: "陶e\u{301}", count: 40)
    for line in [line, wide] {
      for width in 1...250 {
        let text = line.bar(width: width, isUTF8: isUTF8)
        #expect(text.cellCount < width, "\(width): \(text)")
        if !isUTF8 { #expect(text.utf8.allSatisfy { (0x20..<0x7F).contains($0) }, "\(text)") }
      }
    }
  }

  @Test("drops the detail, then the rate, then the bar, and the time left last")
  func order() {
    let parts = ["w1.weight", "57.3 MB/s", "█", "0:12", "1:02:03 left", "43.2 %"]
    var counts: [Int] = []
    for width in stride(from: 250, through: 1, by: -1) {
      let text = line.bar(width: width, isUTF8: true)
      let shown = parts.map { text.contains($0) }
      // What is dropped is always the first of the parts that are left.
      #expect(shown == shown.sorted { !$0 && $1 }, "\(width): \(text)")
      counts.append(shown.count { $0 })
    }
    #expect(counts.first == parts.count)
    #expect(counts == counts.sorted(by: >))
    #expect(Set(counts) == Set(0...parts.count))
  }

  @Test("keeps both ends of a name")
  func shortening() {
    let text = line.bar(width: 90, isUTF8: true)
    #expect(text.contains("model.") && text.contains("…") && text.hasSuffix(".weight"))
  }

  @Test("has no control characters, whatever the name of a tensor is")
  func control() {
    var line = line
    line.detail = "a\u{1B}[2Jb\nc"
    for text in [line.plainText, line.bar(width: 200, isUTF8: true)] {
      #expect(!text.unicodeScalars.contains { $0.value < 0x20 }, "\(text)")
    }
  }

  @Test("says that the time left is not known")
  func unknown() {
    var line = line
    (line.rate, line.remaining) = (nil, nil)
    #expect(line.plainText.contains("? left"))
    #expect(!line.plainText.contains("/s"))
  }
}

@Suite("A rate")
struct WorkRateTests {
  @Test("needs two amounts")
  func start() {
    var rate = WorkRate()
    #expect(rate.perSecond == nil)
    rate.add(5, at: 1)
    #expect(rate.perSecond == nil)
    rate.add(9, at: 3)
    #expect(rate.perSecond == 2)
  }

  @Test("forgets what was long ago, but not the steps of something slow")
  func window() throws {
    var rate = WorkRate()
    for second in 0...100 { rate.add(Double(second * 1000), at: Double(second)) }
    for second in 1...60 { rate.add(100_000 + Double(second), at: Double(100 + second)) }
    #expect(try #require(rate.perSecond) == 1)
    var slow = WorkRate()
    for step in 0...6 { slow.add(Double(step), at: Double(step) * 100) }
    #expect(try #require(slow.perSecond) == 0.01)
  }

  @Test("starts anew when work is done again")
  func restart() throws {
    var rate = WorkRate()
    rate.add(0, at: 0)
    rate.add(1000, at: 1)
    rate.add(0, at: 2)
    #expect(rate.perSecond == nil)
    rate.add(10, at: 3)
    #expect(try #require(rate.perSecond) == 10)
  }

  @Test("is finite for reports in one moment")
  func burst() {
    var rate = WorkRate()
    for amount in 0..<1000 { rate.add(Double(amount), at: 1) }
    #expect(rate.perSecond == nil)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Reports
import Testing

@Suite("Tables as text")
struct TextTests {
  private struct Row {
    let name: String
    let error: Double
    let zeros: Int
    let faults: Int
  }

  private static let rows = [
    Row(
      name: "model.layers.1.block_sparse_moe.experts.0.w1.weight", error: 0.5, zeros: 12, faults: 0),
    Row(
      name: "model.layers.1.block_sparse_moe.experts.1.w1.weight", error: 0.25, zeros: 3, faults: 2),
    Row(name: "lm_head.weight", error: 0.125, zeros: 1_234_567, faults: 0),
  ]

  private static func table(_ rows: [Row] = rows, title: String? = nil) -> Report {
    Report([
      .table(
        ReportTable(
          "tensors", title: title, rows: rows,
          columns: [
            .text("name", "tensor") { .text($0.name) },
            .number("error", "error", importance: 1, marksLargest: true) { .number($0.error) },
            .number("zeros", "zeros", importance: 3) { .count($0.zeros) },
            .number("nan_count", "NaN", importance: 2) { .faults($0.faults) },
            .data("source") { .text($0.name.uppercased()) },
          ]))
    ])
  }

  private func style(
    _ width: Int?, isColored: Bool = false, isUnicode: Bool = true
  ) -> TextStyle {
    TextStyle(width: width, isColored: isColored, isUnicode: isUnicode)
  }

  @Test("without a width all columns of people, numbers on the right")
  func unlimited() {
    #expect(
      Self.table().text(.plain) == """
        tensor                                                error      zeros  NaN
        model.layers.1.block_sparse_moe.experts.0.w1.weight  0.5000         12    0
        model.layers.1.block_sparse_moe.experts.1.w1.weight  0.2500          3    2
        lm_head.weight                                       0.1250  1,234,567    0
        """)
  }

  @Test("columns go by importance, and what went is said")
  func dropping() {
    let text = Self.table().text(style(66))
    #expect(
      text == """
        tensor                                                error  NaN
        model.layers.1.block_sparse_moe.experts.0.w1.weight  0.5000    0
        model.layers.1.block_sparse_moe.experts.1.w1.weight  0.2500    2
        lm_head.weight                                       0.1250    0
        not shown: zeros; a wider terminal or a pipe shows all columns
        """)
  }

  @Test("a name gives way before what matters most, and keeps both ends")
  func shortening() {
    let lines = Self.table().text(style(50)).split(separator: "\n")
    #expect(lines[0].hasPrefix("tensor") && lines[0].hasSuffix("error"))
    #expect(lines[1].hasPrefix("model.layers.1.") && lines[1].contains("…"))
    #expect(lines[1].hasSuffix("experts.0.w1.weight  0.5000"))
    #expect(lines[1] != lines[2])
  }

  @Test("no line of a table is wider than the terminal, whatever its width", arguments: 1...100)
  func fits(_ width: Int) {
    let wide = [
      Row(name: "陶器の窯" + String(repeating: "陶", count: 40), error: .nan, zeros: 1, faults: 1),
      Row(
        name: "e\u{301}\u{301}" + String(repeating: "a\u{308}", count: 70), error: 1, zeros: 1,
        faults: 1),
      Row(name: "a\u{1B}[31mb\nc\td\u{7F}", error: .infinity, zeros: 1, faults: 1),
      Row(name: "👩‍👩‍👧 family", error: 0, zeros: 0, faults: 0),
    ]
    for rows in [Self.rows, wide, []] {
      for isUnicode in [true, false] {
        let text = Self.table(rows, title: "Tensors of a model, with a long title").text(
          style(width, isUnicode: isUnicode))
        for line in text.split(separator: "\n").map(String.init) {
          #expect(line.cellCount <= width, "\(line)")
          #expect(!line.hasSuffix(" "))
        }
        #expect(!text.contains("\u{1B}") && !text.contains("\t"))
        #expect(isUnicode || text.utf8.allSatisfy { $0 < 0x80 })
      }
    }
  }

  @Test("a width of nothing, or less, is no width", arguments: [0, -1, Int.min])
  func noWidth(_ width: Int) {
    #expect(Self.table().text(style(width)) == Self.table().text(.plain))
  }

  @Test("no rows: the titles alone")
  func empty() {
    #expect(Self.table([]).text(.plain) == "tensor  error  zeros  NaN")
  }

  @Test("colors mark the largest error and what is not finite, and take no width")
  func colors() {
    let colored = Self.table().text(style(nil, isColored: true))
    #expect(colored.contains("\u{1B}[33m0.5000\u{1B}[0m"))
    #expect(colored.contains("\u{1B}[31m2\u{1B}[0m"))
    #expect(!colored.contains("\u{1B}[33m0.2500"))
    let bare = colored.replacing(/\u{1B}\[[0-9]+m/, with: "")
    #expect(bare == Self.table().text(.plain))
    let broken = Self.table([
      Row(name: "a", error: .nan, zeros: 0, faults: 0),
      Row(name: "b", error: 1, zeros: 0, faults: 0),
    ]).text(style(nil, isColored: true))
    #expect(
      broken.contains("\u{1B}[31mNaN\u{1B}[0m") && broken.contains("\u{1B}[33m1.000\u{1B}[0m"))
  }

  @Test("bars and signs have forms in ASCII, one cell for one cell")
  func ascii() {
    let report = Report([
      .facts([Fact("change", "1.5 ± 0.2 µs – 3 × …")]),
      .table(
        ReportTable(
          "t", rows: [[1, 0, 2, 4, 8, 16, 32, 64, 128]],
          columns: [.bars("histogram", "-absmax … +absmax", importance: 1) { $0 }])),
    ])
    let text = report.text(style(nil, isUnicode: false))
    #expect(text.hasPrefix("change  1.5 +- 0.2 us - 3 x ...\n\n-absmax ... +absmax\n"))
    let bars = text.split(separator: "\n").last ?? ""
    #expect(bars.count == 9 && bars.utf8.allSatisfy { $0 < 0x80 })
    #expect(bars.contains(" ") && bars.last == "#")
    #expect("陶".asASCII == "\\u{9676}")
  }

  @Test("facts and lines are wrapped between words, values below themselves")
  func wrapping() {
    let report = Report([
      .facts([Fact("weights", "10.5 MB, 16.003 bits per weight"), Fact("", "and more")]),
      .notes([Note("wrote a/long/path/to/some/file.kiln: 3.9 MB")]),
    ])
    #expect(
      report.text(style(24)) == """
        weights  10.5 MB, 16.003
                 bits per weight
                 and more

        wrote
        a/long/path/to/some/file.kiln:
        3.9 MB
        """)
  }

  @Test("a percent sign stays with its number")
  func wrappingPercents() {
    let text = Report([.notes([Note("99 % 0.5, 99.9 % 0.75")])]).text(style(15))
    #expect(text == "99 % 0.5,\n99.9 % 0.75")
  }

  @Test("a word that is longer than a line breaks behind its commas")
  func wrappingJSON() {
    let recipe = "{\"roles\":[\"head\",\"embedding\"],\"scheme\":\"bf16\"}"
    let text = Report([.facts([Fact("recipe", recipe)])]).text(style(30))
    #expect(
      text == """
        recipe  {"roles":["head",
                "embedding"],
                "scheme":"bf16"}
        """)
  }

  @Test(
    "cells that a text takes",
    arguments: [
      ("abc", 3), ("", 0), ("陶", 2), ("e\u{301}", 1), ("한글", 4), ("ｶﾞ", 2), ("Ａ", 2), ("→", 1),
      ("😀", 2),
      ("…▁█±", 4),
    ])
  func cells(_ text: String, _ count: Int) {
    #expect(text.cellCount == count)
  }

  @Test("what is cut keeps characters whole, and both ends")
  func cutting() {
    #expect("model.layers.10.weight".shortened(toCells: 11) == "mode…weight")
    #expect("陶陶陶陶".shortened(toCells: 4) == "…陶")
    #expect("陶陶".clipped(toCells: 3) == "陶")
    #expect("abc".shortened(toCells: 0) == "")
    #expect("abc".shortened(toCells: 3) == "abc")
  }
}

// SPDX-License-Identifier: Apache-2.0

import JSON
import Reports
import TensorCore
import Testing

@Suite("Reports as documents")
struct DocumentTests {
  private struct Row {
    let name: String
    let value: Double?
    let shape: [Int]
  }

  private static let rows = [
    Row(name: "plain", value: 0.1 + 0.2, shape: [2, 3]),
    Row(name: "a \"quoted\", name", value: nil, shape: []),
    Row(name: "two\nlines", value: .nan, shape: [1]),
    Row(name: "bar|star*<b>", value: -.infinity, shape: [1]),
    Row(name: "\u{1B}[31m\r\n\"\u{301}|\u{301}", value: 1e300, shape: [1]),
  ]

  private static func table(_ form: ReportTable.Form = .list) -> ReportTable {
    ReportTable(
      "values", form: form, rows: rows, total: Row(name: "all", value: 7, shape: []),
      columns: [
        .text("name", "what | it is") { .text($0.name) },
        .number("mean", in: "statistics", "mean") { .number($0.value) },
        .number("size", in: "statistics", "size") { .count($0.shape.count) },
        .text("words", "words", for: .people) { _ in .text("kda_gate _x_") },
        .data("shape") {
          .structured(.array($0.shape.map { .integer($0) }), text: "\($0.shape)")
        },
      ])
  }

  private static let report = Report([
    .notes([Note("wrote x", ["output": "x"])]),
    .facts([Fact("weights", "3 in 2 files", ["weights": 3, "files": 2])], key: nil),
    .facts([Fact("mean", "1 ± 2", ["mean": 1, "error": 2])], key: "comparison"),
    .table(table()),
    .table(
      ReportTable(
        "summary", for: .people, rows: [1], columns: [.number("n", "n") { .count($0) }])),
    .fields([JSONMember(key: "seed", value: "7")]),
  ])

  @Test("JSON has every figure under its key, in order, with all digits")
  func json() throws {
    let members = Self.report.json
    #expect(
      members.map(\.key.text) == [
        "output", "weights", "files", "comparison", "values", "seed",
      ])
    let value = JSONValue.object(members)
    #expect(value["comparison"]?["error"] == 2)
    guard case .array(let rows)? = value["values"] else {
      Issue.record("no rows")
      return
    }
    // The row of sums is for people.
    #expect(rows.count == Self.rows.count)
    #expect(
      rows[0] == [
        "name": "plain", "statistics": ["mean": .number(0.1 + 0.2), "size": 2], "shape": [2, 3],
      ])
    #expect(rows[1]["statistics"]?["mean"] == .null)
    #expect(
      String(decoding: JSONWriter.compact(rows[3]), as: UTF8.self).contains("\"-Infinity\""))
  }

  @Test("a keyed table is an object by its first column")
  func keyed() {
    let value = Self.table(.keyed).json
    #expect(value["two\nlines"]?["shape"] == [1])
    #expect(value["plain"]?["name"] == nil)
    #expect(value["all"] == nil)
  }

  @Test("CSV: paths of keys, quotes doubled, missing values empty, no cursor moved")
  func csv() {
    #expect(
      Self.table().csv == """
        name,statistics.mean,statistics.size,shape
        plain,0.30000000000000004,2,"[2, 3]"
        "a ""quoted"", name",,0,[]
        "two
        lines",NaN,1,[1]
        bar|star*<b>,-Infinity,1,[1]
        "\\u{1b}[31m\r
        ""\u{301}|\u{301}",1e+300,1,[1]

        """)
  }

  @Test("the main table is the last one that programs get")
  func main() {
    #expect(Self.report.mainTable?.key == "values")
    #expect(Report([.notes([Note("wrote x")])]).mainTable == nil)
  }

  @Test("Markdown: no cell ends a row or becomes markup")
  func markdown() {
    #expect(
      Self.report.markdown == """
        wrote x

        - **weights**: 3 in 2 files

        - **mean**: 1 ± 2

        | what \\| it is | mean | size | words |
        | --- | ---: | ---: | --- |
        | plain | 0.3000 | 2 | kda_gate \\_x\\_ |
        | a "quoted", name |  | 0 | kda_gate \\_x\\_ |
        | two\\\\u{a}lines | NaN | 1 | kda_gate \\_x\\_ |
        | bar\\|star\\*\\<b> | -inf | 1 | kda_gate \\_x\\_ |
        | \\\\u{1b}\\[31m\\\\u{d}\\\\u{a}"\u{301}\\|\u{301} | 1.000e300 | 1 | kda_gate \\_x\\_ |
        | all | 7.000 | 0 | kda_gate \\_x\\_ |

        | n |
        | ---: |
        | 1 |
        """)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import TensorCore
import Testing

@Suite("Forms of results")
struct ResultFormatTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
    try scratch.link(Fixture.quantized(), as: "int4.kiln")
  }

  private static let against = [
    "perplexity", "int4.kiln", "--text", "text.txt", "--context", "64", "--against", "model",
  ]

  private func run(_ arguments: [String]) throws -> Tool.Result {
    try expectSuccess(arguments + ["--quiet"], in: scratch.folder)
  }

  /// Records of a CSV text, as Python's csv module reads them.
  private func records(_ text: String) throws -> [[String]] {
    var records: [[String]] = [[]]
    var field = ""
    var isQuoted = false
    var scalars = Array(text.unicodeScalars)[...]
    while let scalar = scalars.popFirst() {
      switch scalar {
      case "\"" where isQuoted && scalars.first == "\"":
        field.unicodeScalars.append("\"")
        scalars.removeFirst()
      case "\"": isQuoted.toggle()
      case "," where !isQuoted:
        records[records.count - 1].append(field)
        field = ""
      case "\n" where !isQuoted:
        records[records.count - 1].append(field)
        field = ""
        records.append([])
      default: field.unicodeScalars.append(scalar)
      }
    }
    try #require(!isQuoted && field.isEmpty)
    return records.dropLast()
  }

  // MARK: - JSON

  @Test(
    "every document begins with the versions of the tool and of its keys",
    arguments: [
      ["inspect", "model"], ["inspect", "model/model.safetensors", "--stats"],
      ["convert", "model", "x.kiln", "--dry-run"], ["convert", "model", "x.kiln"],
      ["quantize", "model", "x.kiln", "--scheme", "int8-g32", "--dry-run"],
      ["verify", "model"], ["verify", "model", "--against", "model"],
      ["perplexity", "model", "--text", "text.txt", "--context", "64"], Self.against,
      [
        "calibrate", "model", "x.calibration", "--calibration", "text.txt", "--method", "rtn",
        "--calibration-windows", "1", "--calibration-context", "32",
      ],
      ["generate", "model", "--prompt", "A", "--max-tokens", "2"],
      ["tokenize", "model", "--text", "text.txt"],
    ])
  func versions(_ arguments: [String]) throws {
    let text = try run(arguments + ["--format", "json"]).text
    let version = try expectSuccess(["--version"]).text.split(separator: "\n").first ?? ""
    #expect(text.hasPrefix("{\n  \"kiln_version\": \"\(version)\",\n  \"schema_version\": 1,\n"))
    #expect(text.components(separatedBy: "\"kiln_version\"").count == 2)
  }

  @Test("--json is --format json, and contradicts the other forms")
  func jsonFlag() throws {
    let document = try run(["inspect", "model", "--json"]).output
    #expect(try run(["inspect", "model", "--format", "json"]).output == document)
    #expect(try run(["inspect", "model", "--json", "--format", "json"]).output == document)
    #expect(
      try run(["inspect", "model", "--format", "table"]).output == run(["inspect", "model"]).output)
    for format in ["table", "csv", "markdown"] {
      try expectFailure(
        ["inspect", "model", "--json", "--format", format], Code.usage, naming: "--json", format,
        in: scratch)
    }
    try expectFailure(
      ["inspect", "model", "--format", "yaml"], Code.usage, naming: "yaml", in: scratch)
    try expectFailure(
      ["inspect", "model", "--color", "pink"], Code.usage, naming: "pink", in: scratch)
  }

  @Test("one figure has the same digits wherever it stands in a document")
  func sameDigits() throws {
    for context in ["16", "64", "200"] {
      let output = try run([
        "perplexity", "int4.kiln", "--text", "text.txt", "--context", context, "--against", "model",
        "--json",
      ]).output
      // Foundation's parser is off by a last digit here and there.
      let document = try JSONValue(parsing: Array(output), file: "standard output")
      for key in ["mean_nll", "mean_nll_standard_error", "tokens_scored"] as [ExactString] {
        let value = try #require(document[key])
        #expect(document["comparison"]?[key] == value, "\(key)")
      }
      guard case .number(let mean)? = document["comparison"]?["mean_nll"] else {
        Issue.record("no mean")
        return
      }
      #expect(document["perplexity"] == .number(exp(mean)))
    }
  }

  // MARK: - CSV

  @Test(
    "a table has the same cells as CSV and as JSON",
    arguments: [
      (["inspect", "model", "--tensors"], "tensors"), (["inspect", "model", "--stats"], "tensors"),
      (["quantize", "model", "x.kiln", "--scheme", "int4-g32"], "tensors"),
      (["verify", "int4.kiln", "--against", "int4.kiln"], "tensors"),
      (Self.against, "comparison_by_position"),
    ])
  func csv(_ arguments: [String], _ key: String) throws {
    let force = arguments[0] == "quantize" ? ["--force"] : []
    let document = try JSONValue(
      parsing: Array(run(arguments + force + ["--json"]).output), file: "standard output")
    guard case .array(let rows)? = document[ExactString(key)] else {
      Issue.record("no \(key)")
      return
    }
    let records = try records(run(arguments + force + ["--format", "csv"]).text)
    let titles = try #require(records.first)
    #expect(Set(titles).count == titles.count)
    #expect(records.count == rows.count + 1)
    for (record, row) in zip(records.dropFirst(), rows) {
      #expect(record.count == titles.count)
      for (title, field) in zip(titles, record) {
        let value = title.split(separator: ".").reduce(row as JSONValue?) {
          $0?[ExactString(String($1))]
        }
        switch value {
        case .string(let text): #expect(field == text)
        case .number(let number): #expect(Double(field) == number, "\(title)")
        case .integer(let number): #expect(Int(field) == number, "\(title)")
        case .null: #expect(field.isEmpty)
        case .array: #expect(!field.isEmpty)
        default: Issue.record("\(title): \(String(describing: value))")
        }
      }
    }
  }

  @Test("names with commas, quotes, line breaks and escapes stay one field")
  func names() throws {
    var file = try TensorFile(scratch.url("model/model.safetensors"))
    let names = ["a,b", "say \"x\"", "two\nlines", "pipe|star*", "\u{1B}[31mred", "陶"]
    for name in names { file.add(name, "F32", [1], [0, 0, 0xC0, 0x7F]) }
    try file.write(to: scratch.url("odd.safetensors"))
    let result = try run(["inspect", "odd.safetensors", "--stats", "--format", "csv"])
    let records = try records(result.text)
    let found = Set(records.map { $0[0] })
    for name in names {
      #expect(found.contains(name.replacing("\u{1B}", with: "\\u{1b}")), "\(name)")
    }
    #expect(!result.text.contains("\u{1B}"))
    // A tensor of NaN alone has no smallest value, and one value that is not finite.
    let titles = try #require(records.first)
    let odd = try #require(records.first { $0[0] == "a,b" })
    #expect(odd[try #require(titles.firstIndex(of: "statistics.min"))].isEmpty)
    #expect(odd[try #require(titles.firstIndex(of: "statistics.nan_count"))] == "1")
  }

  @Test("no rows are a line of titles, an empty list, a table without a body")
  func nothing() throws {
    let filter = ["inspect", "model", "--tensors", "--filter", "nothing"]
    #expect(try records(run(filter + ["--format", "csv"]).text).count == 1)
    #expect((try run(filter + ["--json"]).json()["tensors"] as? [Any])?.isEmpty == true)
    #expect(try run(filter + ["--format", "markdown"]).text.hasSuffix(" |\n"))
  }

  @Test(
    "a result without a table refuses forms of tables, before any work",
    arguments: [
      (["convert", "model", "x.kiln"], ["csv", "markdown"]),
      (["tokenize", "model", "--text", "text.txt"], ["csv", "markdown"]),
      (["generate", "model", "--prompt", "A"], ["csv", "markdown"]),
      (["perplexity", "model", "--text", "text.txt"], ["csv"]),
      (["bench", "model"], ["csv"]), (["bench", "model", "--only", "kda,decode"], ["csv"]),
      (["bench", "model", "--only", "machine"], ["csv"]),
    ])
  func refusal(_ arguments: [String], _ formats: [String]) throws {
    for format in formats {
      try expectFailure(
        arguments + ["--format", format], Code.usage, naming: "--format \(format)", in: scratch)
    }
  }

  // MARK: - Markdown

  @Test("Markdown has rows of as many cells as there are titles")
  func markdown() throws {
    for arguments in [
      ["inspect", "model", "--stats"], Self.against, ["verify", "model", "--against", "int4.kiln"],
    ] {
      let result = try Tool.run(
        arguments + ["--format", "markdown", "--quiet"], in: scratch.folder)
      let lines = result.text.split(separator: "\n").filter { $0.hasPrefix("|") }
      #expect(lines.count > 2)
      var count = 0
      for (line, next) in zip(lines, lines.dropFirst() + [""]) {
        if next.hasPrefix("| ---") { count = line.count { $0 == "|" } }
        #expect(line.count { $0 == "|" } == count, "\(line)")
      }
    }
  }
}

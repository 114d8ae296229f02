// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Tables on a terminal")
struct TerminalTableTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
    try scratch.link(Fixture.quantized(), as: "int4.kiln")
  }

  private func show(
    _ arguments: [String], _ columns: Int, _ environment: [String: String] = [:]
  ) throws -> String {
    let (text, result) = try Tool.run(
      arguments + ["--progress", "none"], onTerminalOf: columns, in: scratch.folder,
      environment: environment)
    #expect(result.status == 0 && result.messages.isEmpty, "\(result.errors)")
    return text
  }

  private func withoutColors(_ text: String) -> String {
    text.replacing(/\u{1B}\[[0-9]+m/, with: "")
  }

  @Test(
    "nothing is wider than the terminal",
    arguments: [
      ["inspect", "model"], ["inspect", "model", "--stats"], ["inspect", "model", "--tensors"],
      ["inspect", "int4.kiln"],
      ["quantize", "model", "x.kiln", "--scheme", "int4-g32", "--force"],
      ["perplexity", "int4.kiln", "--text", "text.txt", "--context", "64", "--against", "model"],
      ["verify", "int4.kiln", "--against", "int4.kiln"],
    ], [60, 80, 200])
  func fits(_ arguments: [String], _ columns: Int) throws {
    let text = withoutColors(try show(arguments, columns))
    #expect(!text.contains("\u{1B}"))
    for line in text.split(separator: "\n") {
      #expect(line.count <= columns, "\(line)")
    }
    let table = text.split(separator: "\n").filter { $0.hasPrefix("not shown: ") }
    #expect(columns < 200 || table.isEmpty)
  }

  @Test("what is left out is said, and a pipe has all of it")
  func leftOut() throws {
    let narrow = withoutColors(try show(["inspect", "model", "--stats"], 80))
    let remark = try #require(narrow.range(of: "not shown: "))
    #expect(narrow[remark.upperBound...].contains("zeros"))
    #expect(!narrow[..<remark.lowerBound].contains("zeros"))
    // Names are cut so that no two are the same.
    let rows = narrow.split(separator: "\n").filter {
      $0.hasPrefix("model.") || $0.hasPrefix("lm_")
    }
    #expect(rows.count == 151)
    #expect(Set(rows.map { $0.prefix { $0 != " " } }).count == 151)
    for environment in [["COLUMNS": "40"], [:]] {
      let piped = try expectSuccess(
        ["inspect", "model", "--stats"], in: scratch.folder, environment: environment)
      #expect(piped.text.contains("zeros") && !piped.text.contains("not shown"))
    }
  }

  @Test("a terminal of no width, of one cell, of a thousand")
  func oddWidths() throws {
    let wide = try show(["inspect", "model", "--tensors"], 1000)
    #expect(!wide.contains("not shown"))
    // Without a width it is COLUMNS, or 80.
    let none = try show(["inspect", "model", "--tensors"], 0)
    #expect(try show(["inspect", "model", "--tensors"], 80) == none)
    #expect(try show(["inspect", "model", "--tensors"], 0, ["COLUMNS": "1000"]) == wide)
    let one = withoutColors(try show(["inspect", "model/model.safetensors", "--tensors"], 1))
    let table = one.split(separator: "\n").suffix(151)
    #expect(table.allSatisfy { $0.count <= 1 })
  }

  @Test("another encoding than UTF-8 gets ASCII, in every form; a pipe stays UTF-8")
  func ascii() throws {
    try scratch.copy(scratch.url("model"), as: "陶")
    let commands = [
      ["inspect", "陶", "--stats"],
      ["perplexity", "int4.kiln", "--text", "text.txt", "--context", "64", "--against", "陶"],
    ]
    for command in commands {
      for format in ["table", "json", "csv", "markdown"] {
        let arguments = command + ["--format", format]
        let text = try show(arguments, 200, ["LC_ALL": "C"])
        #expect(text.utf8.allSatisfy { $0 < 0x80 }, "\(format)")
        #expect(text.contains("?") == false || format != "table")
      }
    }
    let text = try show(commands[0], 200, ["LC_ALL": "POSIX"])
    #expect(text.contains("\\u{9676}") && text.contains("-absmax ... +absmax"))
    let json = try show(commands[0] + ["--json"], 200, ["LC_ALL": "C"])
    let document = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
    #expect(document?["path"] as? String == "陶")
    let piped = try expectSuccess(
      commands[0], in: scratch.folder, environment: ["LC_ALL": "C"])
    #expect(piped.text.contains("陶") && piped.text.contains("█"))
  }

  @Test("colors for those who want them, with the same text")
  func colors() throws {
    let arguments = ["inspect", "model", "--stats", "--filter", "*A_log"]
    let colored = try show(arguments, 200)
    #expect(colored.contains("\u{1B}["))
    for environment in [["NO_COLOR": "1"], ["TERM": "dumb"]] {
      #expect(try show(arguments, 200, environment) == withoutColors(colored))
      #expect(try show(arguments + ["--color", "always"], 200, environment) == colored)
    }
    #expect(try show(arguments + ["--color", "never"], 200) == withoutColors(colored))
    let piped = try expectSuccess(arguments, in: scratch.folder)
    #expect(!piped.text.contains("\u{1B}"))
    let forced = try expectSuccess(arguments + ["--color", "always"], in: scratch.folder)
    #expect(withoutColors(forced.text) == piped.text && forced.text != piped.text)
  }

  @Test("errors are red and warnings yellow where color is wanted")
  func messages() throws {
    for (arguments, start, code) in [
      (["inspect", "nothere", "--color", "always"], "\u{1B}[31mkiln:\u{1B}[0m nothere", 66),
      (["inspect", "--color=always"], "\u{1B}[31mkiln:\u{1B}[0m ", 64),
      (["--color", "always", "inspekt"], "\u{1B}[31mkiln:\u{1B}[0m ", 64),
      (
        ["inspect", "model", "--color", "always", "--filter", "xyz"],
        "\u{1B}[33mkiln: warning:\u{1B}[0m no tensor", 0
      ),
      (["inspect", "nothere"], "kiln: nothere", 66),
      (["inspect", "nothere", "--", "--color=always"], "kiln: ", 64),
      (["inspect", "model", "--filter", "xyz"], "kiln: warning: no tensor", 0),
    ] {
      let result = try Tool.run(arguments, in: scratch.folder)
      #expect(result.status == Int32(code))
      #expect(result.errors.hasPrefix(start), "\(result.errors.debugDescription)")
    }
    for (environment, isColored) in [
      (["NO_COLOR": ""], true), (["NO_COLOR": "1"], false), (["TERM": "dumb"], false),
    ] {
      let terminal = try PseudoTerminal(columns: 80)
      let common = ["TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": ""]
      _ = try Tool.run(
        ["inspect", "nothere"], in: scratch.folder,
        environment: common.merging(environment) { $1 }, redirection: "2>\(terminal.path)")
      #expect(terminal.read(milliseconds: 200).contains("\u{1B}[31mkiln:") == isColored)
    }
  }

  @Test(
    "the column that rows are ordered by stays in a narrow terminal",
    arguments: [
      ("outliers", "outliers"), ("parameters", "parameters"), ("zeros", "zeros"),
      ("layer", "layer"),
      ("role", "role"), ("bytes", "bytes"), ("mean", "mean"),
    ])
  func ordered(_ column: String, _ title: String) throws {
    let arguments = ["inspect", "model", "--sort", column, "--limit", "3", "--filter", "norm"]
    for flags in [[], ["--stats"]] {
      let text = withoutColors(try show(arguments + flags, 60))
      let heading = try #require(text.split(separator: "\n").first { $0.hasPrefix("tensor ") })
      #expect(heading.split(separator: " ").contains { $0 == title }, "\(text)")
      #expect(text.split(separator: "\n").allSatisfy { $0.count <= 60 }, "\(text)")
    }
    let document = try expectSuccess(
      ["inspect", "model", "--sort", "parameters", "--json"], in: scratch.folder
    ).json()
    let first = try #require((document["tensors"] as? [[String: Any]])?.first)
    #expect(first["parameters"] as? Int ?? 0 > 0)
  }

  @Test("a value that is not finite is red, the largest error yellow")
  func marks() throws {
    var file = try TensorFile(scratch.url("model/model.safetensors"))
    try file.poke("lm_head.weight", [0xC0, 0x7F])
    try file.write(to: scratch.url("model/model.safetensors"))
    let stats = try show(["inspect", "model", "--stats", "--filter", "lm_head.weight"], 200)
    #expect(stats.contains("\u{1B}[31m1\u{1B}[0m"))
    let quantized = try show(
      ["quantize", "model", "x.kiln", "--scheme", "int4-g32", "--quiet"], 200)
    #expect(quantized.contains(/\u{1B}\[33m0\.[0-9]+\u{1B}\[0m/))
  }
}

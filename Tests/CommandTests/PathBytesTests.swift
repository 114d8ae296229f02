// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Paths are bytes: é in Latin-1 is no UTF-8.
@Suite("A path that is not UTF-8")
struct PathBytesTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  /// Runs a script in which `$kiln` is the tool and `$e` the byte E9.
  private func run(_ script: String) throws -> Tool.Result {
    try Tool.run(
      ["-c", "kiln=$0; e=$(printf '\\351'); set -e; \(script)", Tool.binary.path],
      in: scratch.folder, program: "/bin/sh")
  }

  @Test(
    "is opened",
    arguments: [
      "cp -r model \"caf$e\"; \"$kiln\" inspect \"caf$e\"; \"$kiln\" verify \"./caf$e\"",
      "cp text.txt \"t$e.txt\"; \"$kiln\" perplexity model --text \"t$e.txt\"",
      "cp text.txt \"t$e.txt\"; \"$kiln\" tokenize model --text \"t$e.txt\"",
      "cp text.txt \"t$e.txt\"; \"$kiln\" generate model --prompt-file \"t$e.txt\" --max-tokens 1",
      "cp text.txt \"t$e\"; \"$kiln\" bench model --only prefill --tokens 8 --text \"t$e\" --repeats 1 -q",
      "cp text.txt \"t$e\"; \"$kiln\" quantize model o.kiln --scheme int4-g32 --method gptq"
        + " --calibration \"t$e\" -q",
      "cp text.txt \"t$e\"; \"$kiln\" calibrate model \"o$e.cal\" --calibration \"t$e\" -q"
        + " --calibration-windows 1 --calibration-context 8 --method rtn; test -s \"o$e.cal\"",
      "mkdir \"d$e\"; mv model \"d$e/\"; \"$kiln\" inspect \"d$e/model\"",
      "mkdir s; mv model/model.safetensors \"model/a$e.safetensors\"; \"$kiln\" inspect model",
    ])
  func inputs(_ script: String) throws {
    let result = try run(script)
    #expect(result.status == 0, "\(script): \(result.errors)")
    #expect(result.messages.filter { !$0.contains("tokens/s") }.isEmpty, "\(result.errors)")
  }

  @Test("is written, to the byte")
  func outputs() throws {
    let result = try run(
      """
      "$kiln" convert model "out$e.kiln"; "$kiln" verify "out$e.kiln"
      "$kiln" convert "out$e.kiln" "folder$e"; "$kiln" convert "out$e.kiln" "folder$e" --force
      "$kiln" perplexity model --text text.txt --token-log "log$e.csv"
      test -f "out$e.kiln"; test -d "folder$e"; test -s "log$e.csv"
      test "$(ls -A | grep -c partial)" = 0
      """)
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test("is shown alike in every document")
  func documents() throws {
    for (script, key) in [
      ("cp text.txt \"t$e\"; \"$kiln\" perplexity model --text \"t$e\" --json", "text"),
      ("cp -r model \"t$e\"; \"$kiln\" inspect \"t$e\" --json", "path"),
      ("\"$kiln\" convert model \"t$e.kiln\" --json --dry-run", "output"),
      ("LC_ALL=\"x$e\" \"$kiln\" --version --verbose --json", "locale"),
    ] {
      let document = try run("rm -rf \"t$e\"; \(script)").json()
      #expect((document[key] as? String)?.contains("\u{FFFD}") == true, "\(key): \(document)")
    }
  }

  @Test("that is not there is named so that the byte is seen")
  func missing() throws {
    let result = try run("\"$kiln\" inspect \"caf$e.kiln\"")
    #expect(result.status == Code.missingInput)
    #expect(result.messages.count == 1)
    #expect(result.messages.first?.contains("caf") == true)
  }

  @Test("is not taken for another one: two broken names and a whole one")
  func distinct() throws {
    let result = try run(
      """
      f=$(printf '\\350'); cp text.txt "t$e"; echo different text entirely > "t$f"
      "$kiln" tokenize model --text "t$e" > 1; "$kiln" tokenize model --text "t$f" > 2
      ! cmp -s 1 2
      """)
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test("inside a folder is left out with a warning, and kept by --force")
  func inside() throws {
    let result = try run("echo x > \"model/caf$e.txt\"; \"$kiln\" convert model out.kiln")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.warnings.contains { $0.contains("\\xe9") }, "\(result.errors)")
    let kept = try run(
      "mkdir f; echo x > \"f/caf$e.txt\"; \"$kiln\" convert out.kiln f --force; test -s \"f/caf$e.txt\""
    )
    #expect(kept.status == 0, "\(kept.errors)")
  }

  @Test("bytes that are no path and not UTF-8 are refused")
  func others() throws {
    for (script, name) in [
      ("\"$kiln\" quantize model o.kiln --scheme \"int4$e\"", "int4\\xe9"),
      ("\"$kiln\" generate model --prompt \"caf$e\"", "--prompt"),
      ("\"$kiln\" \"insp$e\"", "\\xe9"),
    ] {
      let result = try run(script)
      #expect(result.status == Code.usage, "\(script): \(result.errors)")
      #expect(result.messages.count == 1)
      #expect(result.messages.first?.contains(name) == true, "\(result.errors)")
    }
  }
}

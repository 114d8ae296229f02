// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("--version")
struct VersionTests {
  @Test("is a version and nothing else")
  func plain() throws {
    let text = try expectSuccess(["--version"]).text
    #expect(text.wholeMatch(of: #/\d+\.\d+\.\d+\n/#) != nil, "\(text)")
  }

  @Test("with --verbose has libraries, processor, instruction sets and threads")
  func verbose() throws {
    let environment = ["KILN_THREADS": "3", "KILN_INSTRUCTIONS": "portable", "LC_ALL": "C"]
    let text = try expectSuccess(["--version", "--verbose"], environment: environment).text
    for pattern in [
      "^kiln +[0-9.]+$", "^OpenBLAS +[0-9]+\\.[0-9]+", "^zstd +1\\.[0-9]+\\.[0-9]+$",
      "^xxHash +0\\.[0-9]+\\.[0-9]+$", "^threads +3 .KILN_THREADS.$",
      "^instructions used +portable",
      "^instructions +portable", "^processor +.", "^memory +[0-9.]+ [GMT]B$", "ASCII",
    ] {
      let regex = try Regex(pattern).anchorsMatchLineEndings()
      #expect(try regex.firstMatch(in: text) != nil, "\(pattern) in\n\(text)")
    }
    #expect(try expectSuccess(["--verbose", "--version"], environment: environment).text == text)
  }

  @Test("as JSON has the same")
  func json() throws {
    let result = try expectSuccess(
      ["--version", "--verbose", "--json"], environment: ["KILN_THREADS": "2"])
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(result.text.utf8)) as? [String: Any])
    #expect(object["threads"] as? Int == 2)
    #expect((object["available_instructions"] as? [String])?.first == "portable")
    #expect(object["zstd_version"] is String)
    #expect((object["memory_bytes"] as? Int ?? 0) > 1 << 20)
  }

  @Test("shows that a variable is wrong, and not what would be without it")
  func wrongVariables() throws {
    for (environment, label, key, value) in [
      (
        ["KILN_THREADS": "x", "KILN_INSTRUCTIONS": ""], "threads", "threads",
        "KILN_THREADS is \"x\""
      ),
      (
        ["KILN_INSTRUCTIONS": "avx512x", "KILN_THREADS": "1"], "instructions used", "instructions",
        "KILN_INSTRUCTIONS is \"avx512x\""
      ),
    ] {
      let text = try expectSuccess(["--version", "--verbose"], environment: environment).text
      let line = text.split(separator: "\n").first { $0.hasPrefix("\(label) ") }
      #expect(line?.contains(value) == true, "\(text)")
      let document = try expectSuccess(
        ["--version", "--verbose", "--json"], environment: environment
      ).json()
      #expect(document[key] is NSNull, "\(document)")
      #expect((document["\(key)_problem"] as? String)?.contains(value) == true)
      #expect(key == "threads" || document["threads"] as? Int == 1)
    }
    let ignored = ["KILN_THREADS": "", "OMP_NUM_THREADS": "two"]
    let text = try expectSuccess(["--version", "--verbose"], environment: ignored).text
    #expect(text.contains("OMP_NUM_THREADS is \"two\""))
  }

  @Test("has the formats of other commands, as far as they fit")
  func format() throws {
    let document = try expectSuccess(["--version", "--json"]).text
    for words in [["--format", "json"], ["--format=json"]] {
      #expect(try expectSuccess(["--version"] + words).text == document)
    }
    for words in [["--format", "csv"], ["--format"], ["--format=markdown"]] {
      let result = try Tool.run(["--version"] + words)
      #expect(result.status == Code.usage && result.output.isEmpty)
    }
  }

  @Test("does not take what does not belong to it")
  func words() throws {
    let result = try Tool.run(["--version", "--frob"])
    #expect(result.status == Code.usage)
    #expect(result.messages.first?.contains("--frob") == true)
  }
}

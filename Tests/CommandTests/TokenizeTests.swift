// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("tokenize")
struct TokenizeTests {
  @Test("ids and back, from standard input and from files")
  func roundTrip() throws {
    let scratch = try Scratch()
    for text in [Fixture.text, "", "\n", "e\u{301} \u{0}\r\n\t👩‍🚀<|im_end|>"] {
      let ids = try expectSuccess(["tokenize", Fixture.nano.path, "--text", "-"], input: text)
      try scratch.write(ids.text, to: "ids.txt")
      let back = try expectSuccess(
        ["tokenize", Fixture.nano.path, "--text", scratch.path("ids.txt"), "--decode"])
      #expect(back.output == Data(text.utf8))
      let json = try expectSuccess(
        ["tokenize", Fixture.packed().path, "--text", "-", "--json"], input: text
      ).json()
      #expect(json["token_count"] as? Int == ids.text.split(separator: " ").count { $0 != "\n" })
    }
  }

  @Test("special tokens only when asked")
  func special() throws {
    func ids(_ options: String...) throws -> [String] {
      try expectSuccess(
        ["tokenize", Fixture.nano.path, "--text", "-"] + options, input: "a<|im_end|>"
      ).text.split(whereSeparator: \.isWhitespace).map(String.init)
    }
    #expect(try ids("--special").last == "1794")
    #expect(try !ids().contains("1794"))
  }

  @Test(
    "golden ids", .enabled(if: Fixture.hasShared, "needs the shared data"),
    arguments: ["nano", "mini"])
  func golden(_ name: String) throws {
    let model = try #require(Fixture.shared("checkpoints/\(name)"))
    let file = try #require(Fixture.shared("golden/tokenizer_\(name).json"))
    let golden = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    for item in try #require(golden["cases"] as? [[String: Any]]) {
      let text = try #require(item["text"] as? String)
      for (key, options) in [("ids", []), ("with_special", ["--special"])] {
        let json = try expectSuccess(
          ["tokenize", model.path, "--text", "-", "--json"] + options, input: text
        ).json()
        #expect(json["ids"] as? [Int] == item[key] as? [Int], "\(text.debugDescription)")
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// Recipes that are wrong, given to quantize with a sound checkpoint.
enum RecipeAttacks {
  static var cases: [MalformedCase] {
    (texts + rules + values).map { make($0, []) } + twice.map { make($0, ["R4"]) } + strangers
  }

  private static func make(_ text: String, _ promises: [String]) -> MalformedCase {
    MalformedCase(
      name: "recipe: \(text.prefix(70))", promises: promises, places: ["recipe.json"],
      isRecipe: true
    ) { folder in
      for (name, bytes) in Models.files() { try folder.write(bytes, as: "model/\(name)") }
      try folder.write(text, as: "recipe.json")
    }
  }

  private static let texts = [
    "", "[]", "null", "1", "{}", "{", "\u{FEFF}{\"kiln_recipe\":1,\"rules\":[]}",
    "{\"kiln_recipe\":1,\"rules\":[]}x", "{\"kiln_recipe\":1,\"rules\":[],}", "{\"rules\":[]}",
    "{\"kiln_recipe\":1}", "{\"kiln_recipe\":1,\"rules\":{}}", "{\"kiln_recipe\":1,\"rules\":null}",
    "{\"kiln_recipe\":1,\"rules\":[1]}", "{\"kiln_recipe\":1,\"rules\":[[]]}",
    "{\"kiln_recipe\":1,\"rules\":[null]}", "{\"kiln_recipe\":1,\"rules\":[],\"speed\":1}",
    "{\"kiln_recipe\":1,\"Rules\":[]}",
  ]

  private static var values: [String] {
    let versions = ["0", "2", "-1", "1.0", "\"1\"", "true", "null", "9223372036854775808", "1e400"]
    let schemes = [
      "1", "null", "\"\"", "\"int4\"", "\"int3-g32\"", "\"INT4-g32\"", "[\"bf16\"]", "\"f64\"",
    ]
    let methods = ["1", "null", "\"\"", "\"luck\"", "[\"rtn\"]"]
    return versions.map { "{\"kiln_recipe\":\($0),\"rules\":[]}" }
      + schemes.map { "{\"kiln_recipe\":1,\"rules\":[],\"default\":\($0)}" }
      + methods.map { "{\"kiln_recipe\":1,\"rules\":[],\"method\":\($0)}" }
  }

  private static var rules: [String] {
    func rule(_ text: String) -> String { "{\"kiln_recipe\":1,\"rules\":[{\(text)}]}" }
    let scheme = "\"scheme\":\"bf16\""
    let roles = [
      "1", "null", "\"\"", "\"hat\"", "[]", "[1]", "[\"head\",\"hat\"]", "{}", "\"Head\"",
    ]
    let names = ["1", "null", "\"\"", "[]", "\"a[b]\"", "\"a{b}\"", "\"a\\\\b\"", "\"]\""]
    let layers = [
      "null", "-1", "1.5", "\"1\"", "\"1-\"", "\"-1\"", "\"3-1\"", "\"1-2-3\"", "\"a-b\"", "[]",
      "[null]",
      "[\"0-99999999999999999999\"]", "9223372036854775808", "{}", "true", "\"1 - 2\"", "\"+1-2\"",
    ]
    return [rule(""), rule(scheme), rule("\"role\":\"head\""), rule("\(scheme),\"roll\":\"head\"")]
      + roles.map { rule("\"role\":\($0),\(scheme)") }
      + names.map { rule("\"name\":\($0),\(scheme)") }
      + layers.map { rule("\"layers\":\($0),\(scheme)") }
      + ["1", "\"\"", "\"int5\"", "null"].map { rule("\"role\":\"head\",\"scheme\":\($0)") }
      + ["1", "\"luck\"", "null"].map { rule("\"role\":\"head\",\(scheme),\"method\":\($0)") }
      + ["norm", "router", "kda_gate"].map { rule("\"role\":\"\($0)\",\"scheme\":\"int4-g32\"") }
      + ["{\"kiln_recipe\":1,\"rules\":[" + String(repeating: "[", count: 200)]
  }

  private static let twice = [
    "{\"kiln_recipe\":1,\"kiln_recipe\":1,\"rules\":[]}",
    "{\"kiln_recipe\":1,\"rules\":[],\"rules\":[]}",
    "{\"kiln_recipe\":1,\"rules\":[],\"r\\u0075les\":[]}",
    "{\"kiln_recipe\":1,\"rules\":[{\"role\":\"head\",\"role\":\"head\",\"scheme\":\"bf16\"}]}",
    "{\"kiln_recipe\":1,\"rules\":[{\"role\":\"head\",\"scheme\":\"bf16\",\"scheme\":\"f32\"}]}",
  ]

  private static var strangers: [MalformedCase] {
    let kinds: [(String, @Sendable (TemporaryFolder) throws -> Void)] = [
      ("missing", { _ in }), ("a folder", { try $0.makeFolder("recipe.json") }),
      ("a FIFO", { try $0.makeFIFO("recipe.json") }),
      ("a device", { try $0.link("recipe.json", to: "/dev/zero") }),
      (
        "16 MiB and a byte",
        {
          try $0.write([UInt8](repeating: 0x20, count: 1 + 1 << 24), as: "recipe.json")
        }
      ),
      ("not UTF-8", { try $0.write([0x7B, 0xFF, 0x7D], as: "recipe.json") }),
    ]
    return kinds.map { name, write in
      MalformedCase(name: "recipe: \(name)", places: ["recipe.json"], isRecipe: true) { folder in
        for (name, bytes) in Models.files() { try folder.write(bytes, as: "model/\(name)") }
        try write(folder)
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("Command lines and texts that make no sense")
struct UsageTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  @Test(
    "is told in one line, with the word that is wrong",
    arguments: [
      (["nope"], "nope"), (["inspect"], "model"), (["inspect", "model", "more"], "more"),
      (["inspect", "model", "--role", "ruoter"], "did you mean router?"),
      (["inspect", "model", "--role", "router,"], "--role"),
      (["inspect", "model", "--encoding", "int4g32"], "did you mean int4-g32?"),
      (["inspect", "model", "--dtype", "bf61"], "did you mean bf16?"),
      (["inspect", "model", "--sort", "absmx"], "did you mean absmax?"),
      (["inspect", "model", "--layer", "3-1"], "--layer"),
      (["inspect", "model", "--layer", "x"], "--layer"),
      (["inspect", "model", "--layer", "99999999999999999999"], "--layer"),
      (["inspect", "model", "--limit", "0"], "--limit"),
      (["inspect", "model", "--tensors", "--filter", "a[b]*"], "--filter"),
      (["inspect", "model", "--threads", "0"], "--threads"),
      (["inspect", "model", "--threads", "many"], "many"),
      (["inspect", "model", "--progress", "loud"], "loud"),
      (["convert", "model"], "output"), (["convert", "model", "o", "--dtype", "f64"], "f64"),
      (["convert", "model", "o.kiln", "--dtype", "bf16"], "--dtype"),
      (["convert", "model", "o.kiln", "--shard-size", "5 apples"], "5 apples"),
      (["quantize", "model", "o.kiln"], "--scheme"),
      (["quantize", "model", "o.kiln", "--scheme", "int3-g32"], "int3-g32"),
      (["quantize", "model", "o.kiln", "--scheme", "int4-g32", "--recipe", "r"], "--recipe"),
      (["quantize", "model", "o.kiln", "--scheme", "int4-g32", "--method", "luck"], "luck"),
      (["quantize", "model", "o.kiln", "--scheme", "int4-g32", "--set", "hat=bf16"], "hat"),
      (["quantize", "model", "o.kiln", "--scheme", "int4-g32", "--set", "head=int5"], "int5"),
      (["quantize", "model", "o.kiln", "--scheme", "int4-g32", "--set", "head"], "head"),
      (["bench", "model", "--only", "weather"], "weather"),
      (["bench", "model", "--tokens", "12,x"], "x"), (["bench", "model", "--tokens", "0"], "0"),
      (["bench", "model", "--repeats", "0"], "--repeats"),
      (["perplexity", "model"], "--text"),
      (["perplexity", "model", "--text", "text.txt", "--context", "1"], "--context"),
      (["perplexity", "model", "--text", "text.txt", "--stride", "513"], "--stride"),
      (["perplexity", "model", "--text", "text.txt", "--limit-tokens", "1"], "--limit-tokens"),
      (["perplexity", "model", "--text", "text.txt", "--score", "some"], "some"),
      (["perplexity", "model", "--text", "text.txt", "--kda-chunk", "0"], "--kda-chunk"),
      (
        ["perplexity", "model", "--text", "t", "--kda", "recurrent", "--kda-chunk", "16"],
        "--kda-chunk"
      ),
      (["tokenize", "model", "--text", "text.txt", "--decode", "--json"], "--decode"),
      (["in\u{1B}[31m\nspect"], "\\u{1b}[31m"),
    ])
  func usage(_ arguments: [String], _ name: String) throws {
    try expectFailure(arguments, Code.usage, naming: name, in: scratch)
  }

  @Test(
    "a value of the wrong kind is answered with what was expected",
    arguments: [
      (["convert", "model", "o", "--shard-size", "5G"], "\"5G\": expected a size such as 5GB"),
      (
        ["convert", "model", "o", "--shard-size", "1MB", "--shards", "0"],
        "expected numbers of shards"
      ),
      (
        ["quantize", "model", "o.kiln", "--target-bpw", "6,5"], "\"6,5\": expected a number such as"
      ),
      (["inspect", "model", "--threads", "x"], "\"x\": expected a whole number"),
      (["inspect", "model", "--threads", "99999999999999999999"], "the number is too large"),
      (["convert", "model", "o.kiln", "--compress", "zstd:99"], "level from 1 to 22"),
      (["inspect", "model", "--limit", "-1"], "--limit must be at least 1, found -1"),
      (
        ["generate", "model", "--prompt", "x", "--temperature", "-1"],
        "--temperature must be from 0"
      ),
      (["quantize", "model", "o.kiln", "--target-bpw", "-3"], "--target-bpw must be from 1"),
      (["generate", "model", "--prompt", "x", "--seed", "-3"], "not negative"),
      (["generate", "model", "--prompt", "-5"], "--prompt=-5"),
      (["inspect", ""], "the name is empty"),
      (["tokenize", "model", "--text", ""], "name is empty"),
      (["convert", "model", ""], "name of the output is empty"),
      (
        ["perplexity", "model", "--text", "text.txt", "--token-log", ""],
        "name of the output is empty"
      ),
    ])
  func values(_ arguments: [String], _ expected: String) throws {
    try expectFailure(arguments, Code.usage, naming: expected, in: scratch)
  }

  @Test(
    "a recipe",
    arguments: [
      ("{\"kiln_recipe\":1,\"rules\":[{\"role\":\"hat\",\"scheme\":\"bf16\"}]}", "hat"),
      ("{\"kiln_recipe\":1,\"rules\":[{\"role\":\"head\",\"scheme\":\"int5\"}]}", "int5"),
      ("{\"kiln_recipe\":1,\"rules\":[{\"roll\":\"head\",\"scheme\":\"bf16\"}]}", "roll"),
      ("{\"kiln_recipe\":1,\"rules\":[{\"role\":\"norm\",\"scheme\":\"int4-g32\"}]}", "norm"),
      ("{\"kiln_recipe\":1,\"rules\":[],\"speed\":1}", "speed"),
      ("{\"kiln_recipe\":2,\"rules\":[]}", "version 2"), ("{\"rules\":[]}", "kiln_recipe"),
      ("{\"kiln_recipe\":1,\"kiln_recipe\":1,\"rules\":[]}", "kiln_recipe"), ("[]", "recipe.json"),
      ("", "recipe.json"), ("\u{FEFF}{\"kiln_recipe\":1,\"rules\":[]}", "recipe.json"),
    ])
  func recipe(_ text: String, _ name: String) throws {
    try scratch.write(text, to: "recipe.json")
    let result = try expectFailure(
      ["quantize", "model", "out.kiln", "--recipe", "recipe.json"], Code.badData,
      naming: "recipe.json", in: scratch)
    #expect(result.messages.first?.contains(name) == true, "\(result.errors)")
  }

  @Test("a recipe that is not there, or a folder")
  func missingRecipe() throws {
    try expectFailure(
      ["quantize", "model", "out.kiln", "--recipe", "none.json"], Code.missingInput,
      naming: "none.json", in: scratch)
    try expectFailure(
      ["quantize", "model", "out.kiln", "--recipe", "model"], Code.badData, naming: "model",
      in: scratch)
  }

  @Test("a text that is missing, empty, too short, not UTF-8, a folder, a device")
  func texts() throws {
    try scratch.write("", to: "empty.txt")
    try scratch.write("a", to: "short.txt")
    try Data([0x61, 0xFF, 0x62]).write(to: scratch.url("latin1.txt"))
    for (text, code) in [
      ("none.txt", Code.missingInput), ("empty.txt", Code.badData), ("short.txt", Code.badData),
      ("latin1.txt", Code.badData), ("model", Code.badData), ("/dev/zero", Code.badData),
    ] {
      try expectFailure(
        ["perplexity", "model", "--text", text], code, naming: text, in: scratch)
    }
    try expectFailure(
      ["tokenize", "model", "--text", "latin1.txt"], Code.badData, naming: "latin1.txt", "byte 1",
      in: scratch)
    // Ten tokens have no second half of 512.
    try scratch.write("one two three four", to: "words.txt")
    try expectFailure(
      ["perplexity", "model", "--text", "words.txt", "--score", "second-half"], Code.badData,
      naming: "words.txt", "tokens", in: scratch)
  }

  @Test("ids that are none", arguments: ["1 2 x", "-1", "2048", "99999999999999999999", "1.5"])
  func ids(_ text: String) throws {
    try scratch.write(text, to: "ids.txt")
    try expectFailure(
      ["tokenize", "model", "--text", "ids.txt", "--decode"], Code.badData,
      naming: String(text.split(separator: " ").last ?? ""), in: scratch)
  }
}

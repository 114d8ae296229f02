// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("A misspelled name")
struct SuggestionTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
  }

  private static let quantize = ["quantize", "model", "o.kiln", "--scheme", "int4-g32"]

  @Test(
    "is answered with the one that was meant, and no other",
    arguments: [
      (["inpsect", "model"], "inspect"), (["quantise", "m", "o", "--scheme", "x"], "quantize"),
      (["VERIFY", "model"], "verify"), (["help", "tokenise"], "tokenize"),
      (["quantize", "model", "o.kiln", "--shceme", "int4-g32"], "--scheme"),
      (["inspect", "model", "--tensor"], "--tensors"),
      (["inspect", "model", "--tensors", "--fliter=x"], "--filter"),
      (["inspect", "model", "-stats"], "--stats"),
      (quantize + ["--calibration_windows", "3"], "--calibration-windows"),
      (["quantize", "model", "o.kiln", "--scheme", "int4g32"], "int4-g32"),
      (["--verison"], "--version"), (["--hlep"], "--help"),
      (["quantize", "model", "o.kiln", "--scheme", "INT8-ROW"], "int8-row"),
      (quantize + ["--method", "gtpq"], "gptq"), (quantize + ["--set", "haed=bf16"], "head"),
      (quantize + ["--set", "head=bf61"], "bf16"), (quantize + ["--compress", "zsdt"], "zstd"),
      (["perplexity", "model", "--text", "t", "--kda", "chunks"], "chunk"),
      (["ppl", "model", "--text", "t", "--kda", "chunks"], "chunk"),
      (["ls", "model", "--tensor"], "--tensors"),
      (["perplexity", "model", "--text", "t", "--score", "second_half"], "second-half"),
      (["inspect", "model", "--progress", "plian"], "plain"),
      (["convert", "model", "o", "--dtype", "bf-16"], "bf16"),
      (["bench", "model", "--only", "prefil"], "prefill"),
    ])
  func near(_ arguments: [String], _ meant: String) throws {
    let result = try expectFailure(arguments, Code.usage, naming: "did you mean", in: scratch)
    let line = try #require(result.messages.first)
    let guess = line.components(separatedBy: "did you mean ").dropFirst().joined()
    #expect(guess.hasPrefix("\(meant)?") || guess.hasPrefix("\"\(meant)\"?"), "\(line)")
    #expect(!guess.contains(","), "\(line)")
  }

  @Test(
    "a short name has the help of its command",
    arguments: [("ls", "inspect"), ("ppl", "perplexity")])
  func aliases(_ alias: String, _ name: String) throws {
    let help = try expectSuccess([alias, "--help"]).text
    #expect(try help == expectSuccess([name, "--help"]).text)
    #expect(try help == expectSuccess(["help", alias]).text)
  }

  @Test(
    "that is like no other gets no guess",
    arguments: [
      (["generate", "model", "--chat"], "--chat", "--kda"),
      (["inspect", "model", "--xy"], "--xy", "mean"),
      (["inspect", "model", "--frobnicate=3"], "--frobnicate", "mean"),
      (["inspect", "model", "-Z"], "-Z", "mean"),
    ])
  func options(_ arguments: [String], _ name: String, _ unwanted: String) throws {
    let result = try expectFailure(arguments, Code.usage, naming: name, in: scratch)
    #expect(result.messages.first?.contains(unwanted) == false)
  }

  @Test(
    "that is a wish is answered with what there is",
    arguments: [
      (["dequantize", "model"], ["inspect", "convert", "bench"]),
      (["model.kiln"], ["inspect", "perplexity"]),
      (["quantize", "model", "o.kiln", "--scheme", "q4_0"], ["int4-g32", "int8-row", "bf16"]),
      (["quantize", "model", "o.kiln", "--scheme", "nf4"], ["int4-g32", "f32"]),
      (["quantize", "model", "o.kiln", "--scheme", "int4-g16"], ["int4 are g32, g64, g128, row"]),
      (["quantize", "model", "o.kiln", "--scheme", "int4-g33"], ["int4 are g32, g64, g128, row"]),
      (quantize + ["--set", "head=int8-g16"], ["int8 are g32, g64, g128, row"]),
      (["inspect", "model", "--encoding", "int6-k"], ["int6 are g32"]),
      (["--quiet", "inspect", "model"], ["--quiet", "follow the command"]),
      (quantize + ["--set", "lm_heads=bf16"], ["never quantized, norm", "router"]),
      (quantize + ["--method", "awq"], ["rtn", "search", "gptq"]),
      (quantize + ["--set", "lm_heads=bf16"], ["embedding", "routed_expert"]),
      (quantize + ["--set", "head=q8_0"], ["int8-g32", "source"]),
      (["perplexity", "model", "--text", "t", "--kda", "parallel"], ["recurrent", "chunk"]),
      (["bench", "model", "--only", "weather"], ["prefill", "decode"]),
    ])
  func wishes(_ arguments: [String], _ names: [String]) throws {
    let result = try expectFailure(arguments, Code.usage, in: scratch)
    let line = try #require(result.messages.first)
    #expect(!line.contains("did you mean"), "\(line)")
    for name in names { #expect(line.contains(name), "\(line)") }
  }

  @Test(
    "in a recipe is answered alike",
    arguments: [
      ("{\"kiln_recipe\":1,\"rules\":[{\"role\":\"haed\",\"scheme\":\"bf16\"}]}", "head?"),
      ("{\"kiln_recipe\":1,\"rules\":[{\"role\":\"head\",\"scheme\":\"int4g64\"}]}", "int4-g64?"),
      ("{\"kiln_recipe\":1,\"rules\":[{\"rule\":\"head\",\"scheme\":\"bf16\"}]}", "role?"),
      ("{\"kiln_recipe\":1,\"rules\":[],\"method\":\"gtpq\"}", "gptq?"),
      ("{\"kiln_recipe\":1,\"rules\":[],\"defualt\":\"bf16\"}", "default?"),
      ("{\"kiln_recipe\":1,\"rules\":[],\"default\":\"q4_0\"}", "int4-g32, "),
    ])
  func recipe(_ text: String, _ guess: String) throws {
    try scratch.write(text, to: "recipe.json")
    try expectFailure(
      ["quantize", "model", "out.kiln", "--recipe", "recipe.json"], Code.badData,
      naming: "recipe.json", guess, in: scratch)
  }

  @Test("a value after -- is no option, and known options are not blamed")
  func positional() throws {
    let result = try expectFailure(
      ["inspect", "--", "--fliter"], Code.missingInput, naming: "--fliter", in: scratch)
    #expect(result.messages.first?.contains("did you mean") == false)
    try expectFailure(["inspect", "--stats"], Code.usage, naming: "model", in: scratch)
  }
}

// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KimiLinear

/// How generated tokens are chosen.
struct SamplingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Choose by chance, with logits divided by this; 0 takes the likeliest token.",
      valueName: "t"))
  var temperature = 0.0

  @Option(help: ArgumentHelp("Choose among the k likeliest tokens only.", valueName: "k"))
  var topK: Int?

  @Option(
    help: ArgumentHelp(
      "Choose among the likeliest tokens that have this probability together.", valueName: "p"))
  var topP: Double?

  @Option(help: ArgumentHelp("Seed of the random choices.", valueName: "n"))
  var seed: UInt64?

  func validate() throws {
    guard temperature >= 0, temperature <= 1000 else {
      throw ValidationError("--temperature must be from 0 to 1000, found \(temperature)")
    }
    if let topK, topK < 1 {
      throw ValidationError("--top-k must be at least 1, found \(topK)")
    }
    if let topP, topP.isNaN || topP <= 0 || topP > 1 {
      throw ValidationError("--top-p must be above 0 and at most 1, found \(topP)")
    }
  }

  /// Flags of a choice by chance where nothing is left to chance.
  var warnings: [String] {
    guard temperature == 0 else { return [] }
    let given = [
      topK.map { "--top-k \($0)" }, topP.map { "--top-p \($0)" }, seed.map { "--seed \($0)" },
    ].compactMap(\.self)
    return given.map {
      "\($0): without --temperature the likeliest token is taken, so it changes nothing"
    }
  }

  /// A sampler that does so.
  var sampler: TokenSampler {
    TokenSampler(
      TokenSampler.Options(temperature: temperature, topK: topK, topP: topP ?? 1), seed: seed ?? 0)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Evaluation
import JSON
import Reports
import SystemPackage
import TensorCore

/// The perplexity of a model.
struct PerplexityReport {
  private let summary: PerplexitySummary
  private let windows: TokenWindows
  private let model: FilePath
  private let textName: String
  private let kernel: KernelOptions.Form
  private let workers: Workers
  private let peakByteCount = PeakMemory.byteCount

  init(
    _ summary: PerplexitySummary, _ windows: TokenWindows, model: FilePath, text: String,
    kernel: KernelOptions.Form, workers: Workers
  ) {
    self.summary = summary
    self.windows = windows
    self.model = model
    textName = text
    self.kernel = kernel
    self.workers = workers
  }

  /// What was run, which only programs need to be told, and what was found.
  var blocks: [Report.Block] {
    [
      .fields(
        [JSONMember]([
          "model": .string(model.string),
          "text": .string(textName),
          "stride": .integer(windows.stride),
          "score": .string(windows.scoring.rawValue),
          "kda": .string(kernel.rawValue),
        ])),
      .facts([perplexity, loss, tokens, speed, memory]),
    ]
  }

  private var perplexity: Fact {
    Fact(
      "perplexity",
      "\(summary.perplexity.decimalText(decimals: 5)) ±"
        + " \(summary.perplexityStandardError.decimalText(decimals: 5))",
      [
        "perplexity": .number(summary.perplexity),
        "standard_error": .number(summary.perplexityStandardError),
      ])
  }

  private var loss: Fact {
    let mean = summary.negativeLogLikelihood
    return Fact(
      "mean nll",
      "\(mean.value.decimalText(decimals: 7)) ±"
        + " \(mean.standardError.decimalText(decimals: 7)) nats",
      [
        "mean_nll": .number(mean.value), "mean_nll_standard_error": .number(mean.standardError),
      ])
  }

  private var tokens: Fact {
    Fact(
      "tokens scored",
      "\(Quantities.grouped(summary.tokensScored)) in \(Quantities.counted(windows.windows.count, "window")) of"
        + " \(windows.context)",
      [
        "context": .integer(windows.context), "windows": .integer(windows.windows.count),
        "tokens": .integer(summary.tokensRun), "tokens_scored": .integer(summary.tokensScored),
      ])
  }

  private var speed: Fact {
    Fact(
      "speed",
      "\(Quantities.grouped(Int(summary.tokensPerSecond))) tokens/s,"
        + " \(summary.seconds.decimalText(decimals: 1)) s, \(workers.count) threads",
      [
        "seconds": .number(summary.seconds),
        "tokens_per_second": .number(summary.tokensPerSecond), "threads": .integer(workers.count),
      ])
  }

  private var memory: Fact {
    Fact(
      "peak memory", Quantities.bytes(peakByteCount),
      ["peak_memory_bytes": .integer(peakByteCount)])
  }
}

// SPDX-License-Identifier: Apache-2.0

import Evaluation
import JSON
import Reports
import SystemPackage
import TensorCore

/// The perplexity of a model, as text and as JSON.
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

  var text: String {
    var table = Table([("", .left), ("", .left)])
    table.add([
      "perplexity",
      "\(summary.perplexity.decimalText(decimals: 5)) ±"
        + " \(summary.perplexityStandardError.decimalText(decimals: 5))",
    ])
    table.add([
      "mean nll",
      "\(summary.meanNegativeLogLikelihood.decimalText(decimals: 7)) ±"
        + " \(summary.meanStandardError.decimalText(decimals: 7)) nats",
    ])
    table.add([
      "tokens scored",
      "\(Quantities.grouped(summary.tokensScored)) in \(windows.windows.count) windows of"
        + " \(windows.context)",
    ])
    table.add([
      "speed",
      "\(Quantities.grouped(Int(summary.tokensPerSecond))) tokens/s,"
        + " \(summary.seconds.decimalText(decimals: 1)) s, \(workers.count) threads",
    ])
    table.add(["peak memory", Quantities.bytes(peakByteCount)])
    return String(table.text.drop { $0 == "\n" })
  }

  var json: [JSONMember] {
    let value: JSONValue = [
      "model": .string(model.string),
      "text": .string(textName),
      "context": .integer(windows.context),
      "stride": .integer(windows.stride),
      "score": .string(windows.scoring.rawValue),
      "kda": .string(kernel.rawValue),
      "perplexity": .number(summary.perplexity),
      "mean_nll": .number(summary.meanNegativeLogLikelihood),
      "standard_error": .number(summary.perplexityStandardError),
      "mean_nll_standard_error": .number(summary.meanStandardError),
      "windows": .integer(windows.windows.count),
      "tokens": .integer(summary.tokensRun),
      "tokens_scored": .integer(summary.tokensScored),
      "seconds": .number(summary.seconds),
      "tokens_per_second": .number(summary.tokensPerSecond),
      "threads": .integer(workers.count),
      "peak_memory_bytes": .integer(peakByteCount),
    ]
    guard case .object(let members) = value else { return [] }
    return members
  }
}

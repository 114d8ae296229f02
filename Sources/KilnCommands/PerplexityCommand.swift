// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Evaluation
import JSON
import Kernels
import KimiLinear
import SystemPackage
import TensorCore
import Tokenization

/// `kiln perplexity`: how well a model predicts a text.
struct MeasurePerplexity: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure the perplexity of a model on a text.",
    discussion: """
      EXAMPLES
        kiln perplexity checkpoint/ --text sample.txt
        kiln perplexity model.kiln --text sample.txt --context 512 --json
        kiln perplexity model.kiln --text sample.txt --token-log tokens.csv

      The text is cut into windows of --context tokens that do not overlap; every
      token but a window's first is scored. No special token is added.
      """,
    aliases: ["ppl"])

  @OptionGroup var model: ModelArgument

  @Option(help: "The text, UTF-8; - reads standard input.", completion: .file())
  var text: String

  @Option(help: ArgumentHelp("Tokens in a window.", valueName: "n"))
  var context = 512

  @Option(help: ArgumentHelp("Use only the first n tokens of the text.", valueName: "n"))
  var limitTokens: Int?

  @Option(
    help: ArgumentHelp(
      "Positions of a window that are scored: all, or second-half.",
      discussion: "second-half scores positions from context / 2 on."))
  var score = TokenWindows.Scoring.all

  @Option(
    help: ArgumentHelp(
      "Tokens between the starts of two windows; windows then overlap.",
      discussion: "Only tokens that are new in a window are scored. Default: the context.",
      valueName: "n"))
  var stride: Int?

  @Option(
    help: "Write window, position, token and ln p of each scored token as CSV.",
    completion: .file(), transform: { FilePath($0) })
  var tokenLog: FilePath?

  @OptionGroup var kernel: KernelOptions
  @OptionGroup var overwrite: OverwriteOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (2...(1 << 24)).contains(context) else {
      throw ValidationError("--context must be from 2 to \(1 << 24), found \(context)")
    }
    if let limitTokens, limitTokens < 2 {
      throw ValidationError("--limit-tokens must be at least 2, found \(limitTokens)")
    }
    if let stride, !(1...context).contains(stride) {
      throw ValidationError("--stride must be from 1 to the context, found \(stride)")
    }
    if stride != nil, score == .secondHalf {
      throw ValidationError("--stride and --score second-half exclude each other")
    }
  }

  func run() throws {
    let checkpoint = try Checkpoint(model.model, workers: common.workers)
    let checked = try CheckedCheckpoint(checkpoint)
    // An output that cannot be written is told before the work, not after it.
    let log = try tokenLog.map { path in
      try Inputs.checkOutput(path, isNot: checkpoint, or: text == "-" ? [] : [FilePath(text)])
      return try TokenLog(path, replacing: overwrite.force)
    }
    common.warn(checkpoint.warnings + checked.unknownWarnings)
    let tokens = try encode(checked)
    let windows = TokenWindows(
      tokenCount: tokens.count, context: context, stride: stride, scoring: score)
    guard windows.scoredCount > 0 else {
      throw TextError.tooShort(
        text, tokens: tokens.count, needed: score == .all ? 2 : context / 2 + 1)
    }
    try PackedIntegrity(checkpoint).checkAll(workers: common.workers)
    let options = Model.Options(kernel: kernel.kernel, workers: common.workers)
    let run = PerplexityRun(
      try Model(checked, workers: common.workers), tokens: tokens, windows: windows,
      options: options)
    let printer = common.progressPrinter()
    let summary = try run.run(progress: printer.show) { token in
      guard token.logProbability.isFinite else {
        throw TextError.notFinite(model: model.model.string, token)
      }
      try log?.append(token)
    }
    printer.finish()
    try log?.commit()
    let peak = PeakMemory.byteCount
    try common.json
      ? StandardOutput.print(json: json(summary, windows, peak))
      : StandardOutput.print(text(summary, windows, peak))
  }

  private func encode(_ checked: CheckedCheckpoint) throws -> [Int] {
    let tokenizer = try checked.tokenizer()
    let tokens = try tokenizer.encode(InputText.read(text), file: text)
    if let maximum = checked.configuration.maximumContext, context > maximum {
      common.warn([
        "--context \(context) is beyond the \(maximum) tokens that the model was made for"
      ])
    }
    return limitTokens.map { Array(tokens.prefix($0)) } ?? tokens
  }

  private func text(_ summary: PerplexitySummary, _ windows: TokenWindows, _ peak: Int) -> String {
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
        + " \(context)",
    ])
    table.add([
      "speed",
      "\(Quantities.grouped(Int(summary.tokensPerSecond))) tokens/s,"
        + " \(summary.seconds.decimalText(decimals: 1)) s, \(common.workers.count) threads",
    ])
    table.add(["peak memory", Quantities.bytes(peak)])
    return String(table.text.drop { $0 == "\n" })
  }

  private func json(
    _ summary: PerplexitySummary, _ windows: TokenWindows, _ peak: Int
  ) -> JSONValue {
    [
      "model": .string(model.model.string),
      "text": .string(text),
      "context": .integer(context),
      "stride": .integer(stride ?? context),
      "score": .string(score.rawValue),
      "kda": .string(kernel.kda.rawValue),
      "perplexity": .number(summary.perplexity),
      "mean_nll": .number(summary.meanNegativeLogLikelihood),
      "standard_error": .number(summary.perplexityStandardError),
      "mean_nll_standard_error": .number(summary.meanStandardError),
      "windows": .integer(windows.windows.count),
      "tokens": .integer(summary.tokensRun),
      "tokens_scored": .integer(summary.tokensScored),
      "seconds": .number(summary.seconds),
      "tokens_per_second": .number(summary.tokensPerSecond),
      "threads": .integer(common.workers.count),
      "peak_memory_bytes": .integer(peak),
    ]
  }
}

extension TokenWindows.Scoring: ExpressibleByArgument {}

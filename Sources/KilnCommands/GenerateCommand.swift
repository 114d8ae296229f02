// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Glibc
import JSON
import Kernels
import KimiLinear
import Reports
import SystemPackage
import TensorCore
import Tokenization

/// `kiln generate`: text as a model continues it.
struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Continue a text, to look at a model with one's own eyes.",
    discussion: """
      EXAMPLES
        kiln generate model.kiln --prompt 'Once upon a time'
        kiln generate model.kiln --prompt-file prompt.txt --max-tokens 500
        kiln generate checkpoint/ --prompt 'A list:' --temperature 0.8 \\
          --top-p 0.95 --seed 7

      The text goes to standard output as it comes, without the prompt. It ends with an end token
      of generation_config.json (or of config.json, or tokenizer_config.json), or after --max-tokens.
      """)

  @OptionGroup var model: ModelArgument

  @Option(help: "The text to continue.")
  var prompt: String?

  @Option(
    help: "A file with the text to continue, UTF-8; - reads standard input.",
    completion: .file(), transform: InputPath.read)
  var promptFile: FilePath?

  @Option(help: ArgumentHelp("Tokens to generate at most.", valueName: "n"))
  var maxTokens = 256

  @Option(
    help: ArgumentHelp(
      "Tokens of prompt and text together at most.",
      discussion: "Default: as many as the prompt has and --max-tokens.", valueName: "n"))
  var contextLimit: Int?

  @Flag(help: "Let the names of special tokens in the prompt become those tokens.")
  var special = false

  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var headOptions: HeadOptions
  @OptionGroup var kernel: KernelOptions
  @OptionGroup var common: CommonOptions

  /// Largest number of tokens that can be asked for.
  private static let largestCount = 1 << 24

  func validate() throws {
    guard (prompt == nil) != (promptFile == nil) else {
      throw ValidationError("give either --prompt or --prompt-file")
    }
    if let prompt, ByteText.hasStandIns(prompt) {
      throw ValidationError("--prompt is not UTF-8")
    }
    guard (1...Self.largestCount).contains(maxTokens) else {
      throw ValidationError(
        "--max-tokens must be from 1 to \(Self.largestCount), found \(maxTokens)")
    }
    if let contextLimit, !(1...Self.largestCount).contains(contextLimit) {
      throw ValidationError(
        "--context-limit must be from 1 to \(Self.largestCount), found \(contextLimit)")
    }
    try common.checkFormat(ofResultWithoutTable: "text")
  }

  func run() throws {
    let checkpoint = try Checkpoint(model.model)
    let checked = try CheckedCheckpoint(checkpoint, head: headOptions.head)
    common.warn(
      checkpoint.warnings + checked.unknownWarnings + headOptions.warnings(for: [checked])
        + sampling.warnings)
    try checked.checkRunnable(workers: common.workers)
    let tokenizer = try checked.tokenizer()
    let endTokens = try EndTokens(checked, tokenizer)
    common.warn(endTokens.warnings)
    let source = promptFile?.string ?? "--prompt"
    let tokens = try tokenizer.encode(
      promptFile.map(InputText.read) ?? Array((prompt ?? "").utf8), file: source,
      allowSpecial: special)
    guard !tokens.isEmpty else { throw TextError.tooShort(source, tokens: 0, needed: 1) }
    let limit = contextLimit ?? tokens.count + maxTokens
    if let maximum = checked.configuration.maximumContext, limit > maximum {
      common.warn(["a context of \(limit) is beyond the \(maximum) tokens of the model"])
    }
    try PackedIntegrity(checkpoint).checkAll(workers: common.workers)
    let generation = Generation(
      decoder: try Decoder(
        try Model(checked, workers: common.workers),
        options: Decoder.Options(
          workers: decodingWorkers, contextLimit: limit, promptKernel: kernel.kernel)),
      source: checked, tokenizer: tokenizer,
      endTokens: endTokens.ids,
      sampler: sampling.sampler)
    let result = try generation.run(prompt: tokens, maximumCount: maxTokens) { text in
      if !common.json { try StandardOutput.write(Array(text.utf8)) }
    }
    try common.json
      ? StandardOutput.print(document: document(of: result, endTokens))
      : StandardOutput.print("")
    common.note([summary(result)])
  }

  /// The threads of the decoder: members of a team wait for each other at every step, so more of them
  /// than processors would only be in each other's way.
  private var decodingWorkers: Workers {
    Workers(count: min(common.workers.count, Workers.processorCount))
  }

  private func summary(_ result: Generation.Result) -> String {
    "\(Quantities.counted(result.promptCount, "prompt token")), \(rate(result.promptRate));"
      + " \(result.tokens.count) generated\(result.rate.map { ", \(rate($0))" } ?? "");"
      + " ended by \(result.ending.rawValue)"
  }

  private func rate(_ rate: Double) -> String { "\(rate.decimalText(decimals: 1)) tokens/s" }

  private func document(
    of result: Generation.Result, _ endTokens: EndTokens
  ) -> [JSONMember] {
    [JSONMember]([
      "model": .string(model.model.string),
      "text": .string(result.text),
      "tokens": .array(result.tokens.map { .integer($0) }),
      "ended_by": .string(result.ending.rawValue),
      "end_tokens": .array(endTokens.ids.sorted().map { .integer($0) }),
      "end_tokens_from": endTokens.file.map { .string($0) } ?? .null,
      "prompt_tokens": .integer(result.promptCount),
      "generated_tokens": .integer(result.tokens.count),
      "prompt_tokens_per_second": .number(result.promptRate),
      "tokens_per_second": result.rate.map { .number($0) } ?? .null,
      "temperature": .number(sampling.temperature),
      "seed": .string(String(sampling.seed ?? 0)),
      "threads": .integer(decodingWorkers.count),
    ])
  }
}

// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Conversion
import Evaluation
import JSON
import Kernels
import KimiLinear
import Reports
import SystemPackage
import TensorCore
import Tokenization

/// `kiln perplexity`: how well a model predicts a text, and how far it is from another one.
struct MeasurePerplexity: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure the perplexity of a model on a text, or its divergence from a base model.",
    discussion: """
      EXAMPLES
        kiln perplexity checkpoint/ --text sample.txt
        kiln perplexity model.kiln --text sample.txt --context 512 --json
        kiln perplexity model.kiln --text sample.txt --against checkpoint/
        kiln perplexity checkpoint/ --text sample.txt --save-base sample.base
        kiln perplexity model.kiln --text sample.txt --against sample.base

      The text is cut into windows of --context tokens that do not overlap; every
      token but a window's first is scored. No special token is added. With --against
      the distributions of both models are compared at every scored position.
      """,
    aliases: ["ppl"])

  @OptionGroup var model: ModelArgument

  @Option(
    help: "The text, UTF-8; - reads standard input.", completion: .file(),
    transform: InputPath.read)
  var text: FilePath

  @Option(
    help: ArgumentHelp(
      "Compare with this base: a model, or what --save-base wrote for the same text and windows.",
      valueName: "base"),
    completion: .file(), transform: InputPath.read)
  var against: FilePath?

  @Option(
    name: .customLong("save-base"),
    help: ArgumentHelp(
      "Keep the results of the base (of MODEL, if there is none) for later comparisons.",
      valueName: "file"),
    completion: .file(), transform: { try OutputPath($0) })
  var saveBasePath: OutputPath?
  private var saveBase: FilePath? { saveBasePath?.path }

  @OptionGroup var windowing: WindowOptions

  @Option(
    name: .customLong("token-log"),
    help: ArgumentHelp(
      "Write window, position, token and ln p of each scored token as CSV.",
      discussion:
        "With --against also ln p of the base, the divergence, and whether the top is the same.",
      valueName: "file"),
    completion: .file(), transform: { try OutputPath($0) })
  var tokenLogPath: OutputPath?
  private var tokenLog: FilePath? { tokenLogPath?.path }

  @Flag(help: "Run the text token by token, as generate does: slower, by other kernels.")
  var byToken = false

  @OptionGroup var headOptions: HeadOptions
  @OptionGroup var kernel: KernelOptions
  @OptionGroup var overwrite: OverwriteOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if byToken, against != nil || saveBase != nil {
      throw ValidationError("--by-token goes with neither --against nor --save-base.")
    }
    if let saveBase, saveBase == tokenLog {
      throw ValidationError("--save-base and --token-log are the same file")
    }
    if common.resultFormat == .csv, against == nil {
      throw ValidationError(
        "--format csv is for tables, and the result has one only with --against; --token-log FILE"
          + " writes every token as CSV, and --format json prints the figures")
    }
  }

  func run() throws {
    let checked = try open(model.model)
    let base = try against.map { try Checkpoint($0, workers: common.workers) }
    if base?.isSavedBase != false { common.warn(headOptions.warnings(for: [checked])) }
    try checkOutputs(inputs: [checked.checkpoint] + (base.map { [$0] } ?? []))
    let log = try tokenLog.map {
      try TokenLog($0, replacing: overwrite.force, isComparison: base != nil)
    }
    let bytes = try InputText.read(text)
    let allTokens = try checked.tokenizer().encode(bytes, file: text.string)
    let tokens = limited(allTokens)
    let calibrated = modelsCalibrated(
      by: bytes, allTokens, of: [checked.checkpoint] + (base.map { [$0] } ?? []))
    if let maximum = checked.configuration.maximumContext, windowing.context > maximum {
      common.warn([
        "--context \(windowing.context) is beyond the \(maximum) tokens that the model was made for"
      ])
    }
    let windows = try windowing.windows(tokenCount: tokens.count, of: text.string)
    let run = try windowRun(checked, tokens, windows)
    if let base {
      try compare(
        run, of: checked, with: openBase(base, for: run, of: checked, text: bytes), log,
        calibrated: calibrated)
    } else {
      try measure(run, of: checked, log, calibrated: calibrated)
    }
  }

  // MARK: - Inputs and outputs

  private func open(_ path: FilePath) throws -> CheckedCheckpoint {
    try check(try Checkpoint(path, workers: common.workers))
  }

  private func check(_ checkpoint: Checkpoint) throws -> CheckedCheckpoint {
    let checked = try CheckedCheckpoint(checkpoint, head: headOptions.head)
    common.warn(checkpoint.warnings + checked.unknownWarnings)
    try checked.checkRunnable(workers: common.workers)
    return checked
  }

  /// An output that cannot be written is told before the work, not after it.
  private func checkOutputs(inputs: [Checkpoint]) throws {
    for output in [tokenLog, saveBase].compactMap(\.self) {
      for input in inputs {
        try Inputs.checkOutput(
          output, isNot: input, or: text == InputText.standardInput ? [] : [text])
      }
    }
    try tokenLogPath?.check(as: .table)
    try saveBasePath?.check(as: .saved("saved base"))
    for output in [tokenLog, saveBase].compactMap(\.self) {
      try OutputFile.checkTarget(output, replacing: overwrite.force)
    }
  }

  private func tokens(of bytes: [UInt8], for checked: CheckedCheckpoint) throws -> [Int] {
    limited(try checked.tokenizer().encode(bytes, file: text.string))
  }

  private func limited(_ tokens: [Int]) -> [Int] {
    windowing.limitTokens.map { Array(tokens.prefix($0)) } ?? tokens
  }

  /// Finds out which of the models were calibrated by the text that they are measured on, and says it.
  private func modelsCalibrated(
    by bytes: [UInt8], _ tokens: [Int], of checkpoints: [Checkpoint]
  ) -> [Bool] {
    let calibrated = checkpoints.map { checkpoint in
      CalibrationTrace(checkpoint.calibration)?.recognizes(text: bytes, tokens: tokens) ?? false
    }
    for (checkpoint, isCalibrated) in zip(checkpoints, calibrated) where isCalibrated {
      common.warn([
        "\(checkpoint.path): was calibrated by this text; its figures may be better than on other texts"
      ])
    }
    return calibrated
  }

  private func windowRun(
    _ checked: CheckedCheckpoint, _ tokens: [Int], _ windows: TokenWindows
  ) throws -> WindowRun {
    try PackedIntegrity(checked.checkpoint).checkAll(workers: common.workers)
    return try WindowRun(
      try Model(checked, workers: common.workers), tokens: tokens, windows: windows,
      options: Model.Options(kernel: kernel.kernel, workers: common.workers))
  }

  private func writer(of checkpoint: Checkpoint, _ run: WindowRun) throws -> SavedBaseWriter? {
    try saveBase.map { path in
      try SavedBaseWriter(
        path, replacing: overwrite.force, producer: Inputs.producer, checkpoint: checkpoint,
        run: run)
    }
  }

  // MARK: - One model

  private func measure(
    _ run: WindowRun, of checked: CheckedCheckpoint, _ log: TokenLog?, calibrated: [Bool]
  ) throws {
    let writer = try writer(of: checked.checkpoint, run)
    let printer = common.progressPrinter()
    func record(_ token: ScoredToken) throws {
      try check([token.logProbability], token, of: checked, run)
      try log?.append(token)
    }
    let summary =
      byToken
      ? try DecodedRun(run).run(progress: printer.show, scored: record)
      : try PerplexityRun(run).run(
        progress: printer.show, computed: { try writer?.append($0) }, scored: record)
    printer.finish()
    try log?.commit()
    try writer?.commit()
    try report(summary, run.windows, comparison: nil, calibrated: calibrated)
  }

  // MARK: - A model and its base

  /// A base that is ready to be run or read.
  private struct Base {
    let source: BaseSource
    /// The model; nil for a saved base.
    var checked: CheckedCheckpoint?
    /// Keeps its results.
    var writer: SavedBaseWriter?
  }

  private func compare(
    _ run: WindowRun, of checked: CheckedCheckpoint, with opened: Base, _ log: TokenLog?,
    calibrated: [Bool]
  ) throws {
    let (base, writer) = (opened.source, opened.writer)
    let comparison = try ComparisonRun(run, base: base)
    let printer = common.progressPrinter()
    let summary = try comparison.run(
      progress: printer.show, computed: { try writer?.append($0) },
      compared: { token in
        try check(
          [token.baseLogProbability], token.scored, of: opened.checked, run, name: base.name)
        try check(
          [token.scored.logProbability, token.divergence], token.scored, of: checked, run)
        try log?.append(token)
      })
    printer.finish()
    try log?.commit()
    try writer?.commit()
    try report(
      summary.model, run.windows, comparison: DivergenceReport(summary, base: base.name),
      calibrated: calibrated)
  }

  private func openBase(
    _ checkpoint: Checkpoint, for run: WindowRun, of model: CheckedCheckpoint,
    text bytes: [UInt8]
  ) throws -> Base {
    if checkpoint.isSavedBase {
      guard saveBase == nil else {
        throw UsageError("--save-base: \(checkpoint.path) is a saved base already")
      }
      let saved = try SavedBase(
        checkpoint, tokens: run.tokens, windows: run.windows, workers: common.workers)
      return Base(source: .saved(saved))
    }
    let checked = try check(checkpoint)
    common.warn(headOptions.warnings(for: [model, checked]))
    if checkpoint.hasFile("tiktoken.model") {
      try check(tokens(of: bytes, for: checked), of: checked, run)
    }
    let base = try windowRun(checked, run.tokens, run.windows)
    return Base(
      source: .model(base), checked: checked, writer: try writer(of: checkpoint, base))
  }

  /// Refuses a base for which the same text is other tokens.
  private func check(_ tokens: [Int], of base: CheckedCheckpoint, _ run: WindowRun) throws {
    guard tokens != run.tokens else { return }
    let same = zip(tokens, run.tokens).prefix { $0 == $1 }.count
    throw BaseError.tokenizer(
      base: base.checkpoint.path.string, model: run.model.name, token: same)
  }

  // MARK: - Results

  private func report(
    _ summary: PerplexitySummary, _ windows: TokenWindows, comparison: DivergenceReport?,
    calibrated: [Bool]
  ) throws {
    let report = PerplexityReport(
      summary, windows, model: model.model, text: text.string, kernel: kernel.form,
      workers: common.workers
    )
    let texts = zip(["calibration_text", "against_calibration_text"], calibrated).map {
      JSONMember(key: ExactString($0), value: .bool($1))
    }
    let notes = zip(["the model", "the base"], calibrated).filter(\.1).map {
      Note("\($0.0) was calibrated by this text; other texts tell more", tone: .warning)
    }
    try common.print(
      Report(
        report.blocks + (comparison?.blocks ?? []) + (notes.isEmpty ? [] : [.notes(notes)])
          + [.fields(texts)]))
  }

  /// Refuses figures that are not numbers.
  private func check(
    _ figures: [Double], _ token: ScoredToken, of checked: CheckedCheckpoint?, _ run: WindowRun,
    name: String? = nil
  ) throws {
    guard figures.allSatisfy(\.isFinite) else {
      throw TextError.notFinite(
        model: name ?? run.model.name, token,
        cause: try NonFiniteCause(of: checked, tokens: run.tokens, workers: common.workers))
    }
  }
}

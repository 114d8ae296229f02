// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Calibration
import Checkpoints
import Conversion
import Kernels
import KimiLinear
import Quantization
import SystemPackage
import TensorCore

/// `kiln quantize`: a smaller packed file, and what it cost.
struct Quantize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Quantize a checkpoint to a .kiln file with weights of 8, 6, 5 or 4 bits.",
    discussion: """
      EXAMPLES
        kiln quantize checkpoint/ model.kiln --scheme int4-g32 --method search
        kiln quantize checkpoint/ model.kiln --scheme int4-g32 --method gptq \\
          --calibration text.txt
        kiln quantize checkpoint/ model.kiln --target-bpw 5 \\
          --calibration text.calibration
        kiln quantize checkpoint/ model.kiln --scheme int8-g32 --set embedding=bf16
        kiln quantize checkpoint/ model.kiln --recipe recipe.json --dry-run
        kiln quantize checkpoint/ model.kiln --scheme int4-g32 --resume
        kiln quantize checkpoint/ shards/ --scheme int4-g32 --shard-size 5GB

      --scheme applies to experts, dense MLPs and KDA projections; MLA projections,
      embedding and head get 8 bits with the same groups. Norms, router,
      convolutions and gates are never quantized.
      """)

  @Argument(
    help: "A checkpoint folder, a .safetensors file, a .kiln file or a folder of .kiln shards.",
    completion: .file(),
    transform: InputPath.read)
  var source: FilePath

  @Argument(
    help: ArgumentHelp(
      "The .kiln file to write; with --shard-size, the folder.", valueName: "output"),
    completion: .file(), transform: { try OutputPath($0) })
  var outputPath: OutputPath
  private var output: FilePath { outputPath.path }

  @OptionGroup var recipeOptions: RecipeOptions
  @OptionGroup var calibrationOptions: CalibrationOptions
  @OptionGroup var headOptions: HeadOptions

  @Flag(help: "Print the plan with its sizes, and write nothing.")
  var dryRun = false

  @OptionGroup var packed: PackedOutputOptions
  @OptionGroup var overwrite: OverwriteOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let checked = try Inputs.open(
      source, for: output,
      reading: [recipeOptions.recipe, calibrationOptions.calibration].compactMap { $0 },
      willRun: calibrationOptions.calibration != nil, head: headOptions, common)
    try outputPath.check(
      as: packed.shardSize == nil ? .packedFile : .folder,
      folderHint: "--shard-size for a folder of .kiln files")
    try packed.checkTarget(output, replacing: overwrite.force)
    let written = try checkRules(of: checked)
    let choices = try recipeOptions.targetBpw.map { bitsPerWeight in
      let choices = try SchemeChoices(checked, overrides: try recipeOptions.overridesAlone())
      _ = try choices.byteLimit(bitsPerWeight)
      try OutputFile.checkSpace(for: output, byteCount: choices.smallestByteCount)
      return choices
    }
    let calibration = try calibrationOptions.resolved(for: checked, common)
    let allocation = try choices.map { try allocated(checked, $0, calibration) }
    let recipe = try recipeOptions.resolved(allocated: allocation?.recipe)
    let rules =
      allocation == nil
      ? written
      : RecipeCheck(
        recipe, overrides: recipeOptions.overrides, file: nil, of: checked)
    let plan = try PackingPlan(
      checked, recipe: recipe, producer: Inputs.producer, options: packed.packing,
      calibration: calibration)
    common.warn(warnings(about: plan))
    let packing = Packing(plan, workers: common.workers)
    var report: Packing.Report?
    if dryRun {
      try packing.checkTarget(output, replacing: overwrite.force)
    } else {
      let printer = common.progressPrinter()
      report = try packing.run(
        to: output, replacing: overwrite.force, resuming: packed.resume, progress: printer.show)
      printer.finish()
    }
    let summary = QuantizationSummary(
      plan, report: report, rules: rules, output: output, workers: common.workers)
    common.warn(summary.warnings)
    common.note(
      PackedOutputOptions.resumedMessages(
        report?.resumedTensorCount ?? 0, of: plan.items.count,
        replacesOtherJob: report?.replacesOtherJob ?? false))
    try common.print(summary.report(allocation))
  }

  /// Looks at the rules that the user wrote, before any work.
  ///
  /// - Throws: `RecipeError.withoutEffect` with `--strict`.
  private func checkRules(of checked: CheckedCheckpoint) throws -> RecipeCheck {
    let recipe =
      try recipeOptions.targetBpw == nil
      ? recipeOptions.resolved() : recipeOptions.overridesAlone()
    // Codes are never rounded again: a recipe that asks for it is refused here, whatever else it says.
    if recipeOptions.targetBpw != nil {
      _ = try PackingPlan(checked, recipe: recipe, producer: Inputs.producer)
    }
    let check = RecipeCheck(
      recipe, overrides: recipeOptions.overrides, file: recipeOptions.recipe, of: checked)
    guard !recipeOptions.strict || check.problems.isEmpty else {
      throw RecipeError.withoutEffect(check.problems)
    }
    common.warn(check.problems)
    return check
  }

  /// Flags that change nothing.
  private func warnings(about plan: PackingPlan) -> [String] {
    var warnings: [String] = []
    if let head = plan.omittedHead {
      warnings.append(
        "\(source): \(head) is the embedding (\"tie_word_embeddings\"): it is left out, and what is asked"
          + " of the head has no effect; set the embedding")
    }
    let methods = plan.roundingMethods
    if let method = recipeOptions.method, !methods.contains(method) {
      warnings.append(
        methods.isEmpty
          ? "--method \(method.rawValue): no tensor is rounded, so it changes nothing"
          : "--method \(method.rawValue): no tensor is rounded so, since the rules name other methods"
      )
    }
    if let calibration = calibrationOptions.calibration {
      if methods.isEmpty {
        warnings.append("--calibration \(calibration): no tensor is rounded by it")
      } else if methods == [.roundToNearest], recipeOptions.targetBpw == nil {
        warnings.append(
          "--calibration \(calibration): rtn does not round by a text; only the errors of outputs"
            + " are measured with it")
      }
    }
    return warnings
  }

  /// Chooses schemes, where `--target-bpw` asks for it.
  private func allocated(
    _ checked: CheckedCheckpoint, _ choices: SchemeChoices, _ calibration: CalibrationText?
  ) throws -> SchemeAllocation {
    guard let bitsPerWeight = recipeOptions.targetBpw, let calibration else {
      throw UsageError("--target-bpw needs a text: --calibration FILE")
    }
    let method = recipeOptions.method ?? .gptq
    if let known = calibration.sensitivities, known.method != method {
      common.warn([
        "the saved calibration tells what parts lose with \(known.method.rawValue);"
          + " for \(method.rawValue) it is measured again"
      ])
    }
    let printer = common.progressPrinter()
    let allocation = try SchemeAllocation(
      checked, choices: choices, sample: calibration.sample, known: calibration.sensitivities,
      bitsPerWeight: bitsPerWeight, method: method,
      options: Model.Options(kernel: .chunkwise(chunk: 16), workers: common.workers),
      progress: printer.show)
    printer.finish()
    return allocation
  }
}

/// How tensors are to be quantized.
struct RecipeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The scheme for experts, dense MLPs and KDA projections.",
      discussion: TensorEncoding.schemeNames.joined(separator: ", ")),
    completion: .list(TensorEncoding.schemeNames))
  var scheme: String?

  @Option(
    help: ArgumentHelp(
      "Choose the scheme of each part so that all together have this many bits per weight.",
      discussion: "What each part loses is measured on the calibration text, which it needs.",
      valueName: "x"))
  var targetBpw: Double?

  @Option(
    help: "A JSON file of rules (Formats/Recipe.md), in place of --scheme.",
    completion: .file(extensions: ["json"]), transform: InputPath.read)
  var recipe: FilePath?

  @Option(
    help: ArgumentHelp(
      "How values are rounded: rtn, search or gptq.",
      discussion: "rtn: to nearest. search: scales of least squared error. gptq: against the inputs"
        + " that a calibration text gives, each error made up for by later weights."))
  var method: RoundingMethod?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Another scheme for one role, such as head=bf16; may be repeated.",
      discussion: "With --target-bpw the other parts are chosen around it.",
      valueName: "role=scheme"))
  var overrides: [String] = []

  @Flag(
    help: "Refuse a rule of the recipe, or a --set, that has no effect on the model.")
  var strict = false

  func validate() throws {
    guard [scheme != nil, recipe != nil, targetBpw != nil].count(where: { $0 }) == 1 else {
      throw ValidationError("give one of --scheme, --recipe and --target-bpw")
    }
    if let targetBpw, !(1...32).contains(targetBpw) {
      throw ValidationError("--target-bpw must be from 1 to 32, found \(targetBpw)")
    }
    if let scheme, TensorEncoding(schemeName: scheme) == nil {
      throw ValidationError(
        "unknown scheme \"\(scheme)\""
          + RecipeScheme.suggestion(for: scheme, among: TensorEncoding.schemeNames))
    }
  }

  /// The recipe that the flags ask for.
  ///
  /// - Parameter allocated: What `--target-bpw` has led to, if it was given.
  /// - Returns: The recipe.
  /// - Throws: What is wrong with the flags or the file.
  func resolved(allocated: Recipe? = nil) throws -> Recipe {
    var recipe: Recipe
    if let allocated {
      recipe = allocated
    } else if let path = self.recipe {
      let file = try MappedFile(path)
      guard file.byteCount <= Checkpoint.maximumParsedByteCount else {
        throw FileError.tooLarge(
          path, size: file.byteCount, limit: Checkpoint.maximumParsedByteCount)
      }
      try ForeignContent.check(file.bytes, path, as: .json)
      recipe = try Recipe(parsing: file.bytes.copy(), file: path.string)
      if let method { recipe.method = method }
    } else if let encoding = scheme.flatMap({ TensorEncoding(schemeName: $0) }) {
      recipe = Recipe(defaultFor: encoding, method: method ?? .roundToNearest)
    } else {
      throw UsageError("give one of --scheme, --recipe and --target-bpw")
    }
    return try overriding(recipe)
  }

  /// A recipe of the rules of `--set` alone.
  ///
  /// - Throws: What is wrong with them.
  func overridesAlone() throws -> Recipe {
    try overriding(Recipe(rules: [], fallback: .source, method: .roundToNearest))
  }

  /// A recipe with the rules of `--set` in front.
  private func overriding(_ recipe: Recipe) throws -> Recipe {
    var recipe = recipe
    for text in overrides {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        throw UsageError(
          "--set \"\(text)\": expected role=scheme with one of the roles"
            + " \(TensorRole.list())")
      }
      guard let role = TensorRole(rawValue: parts[0]) else {
        throw UsageError(
          "--set \"\(text)\": unknown role \"\(parts[0])\""
            + (NearestName.of(parts[0], among: TensorRole.allCases.map(\.rawValue)).map {
              "; did you mean \($0)?"
            } ?? "; the roles are \(TensorRole.list())"))
      }
      guard let scheme = RecipeScheme(name: parts[1]) else {
        throw UsageError(
          "--set \"\(text)\": unknown scheme \"\(parts[1])\""
            + RecipeScheme.suggestion(for: parts[1]))
      }
      recipe = try recipe.overriding(role: role, with: scheme)
    }
    return recipe
  }
}

extension RoundingMethod: ExpressibleByArgument {}

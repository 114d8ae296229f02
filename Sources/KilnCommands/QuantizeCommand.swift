// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
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
    abstract: "Quantize a checkpoint to a .kiln file with int8 or int4 weights.",
    discussion: """
      EXAMPLES
        kiln quantize checkpoint/ model.kiln --scheme int4-g32 --method search
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
    transform: { FilePath($0) })
  var source: FilePath

  @Argument(
    help: "The .kiln file to write; with --shard-size, the folder.", completion: .file(),
    transform: { FilePath($0) })
  var output: FilePath

  @OptionGroup var recipeOptions: RecipeOptions

  @Flag(help: "Print the plan with its sizes, and write nothing.")
  var dryRun = false

  @OptionGroup var packed: PackedOutputOptions
  @OptionGroup var overwrite: OverwriteOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let checked = try Inputs.open(
      source, for: output, reading: [recipeOptions.recipe].compactMap { $0 }, common)
    let plan = try PackingPlan(
      checked, recipe: try recipeOptions.resolved(), producer: Inputs.producer,
      options: packed.packing)
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
      plan, report: report, output: output, workers: common.workers)
    common.warn(summary.warnings)
    common.note(
      PackedOutputOptions.resumedMessages(
        report?.resumedTensorCount ?? 0, of: plan.items.count))
    try common.json
      ? StandardOutput.print(json: summary.json) : StandardOutput.print(summary.text)
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
    help: "A JSON file of rules (Formats/Recipe.md), in place of --scheme.",
    completion: .file(extensions: ["json"]), transform: { FilePath($0) })
  var recipe: FilePath?

  @Option(help: "How scales are chosen: rtn (round to nearest) or search (least squared error).")
  var method: RoundingMethod?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Another scheme for one role, such as head=bf16; may be repeated.", valueName: "role=scheme"))
  var overrides: [String] = []

  func validate() throws {
    guard (scheme == nil) != (recipe == nil) else {
      throw ValidationError("give either --scheme or --recipe")
    }
    if let scheme, TensorEncoding(schemeName: scheme) == nil {
      throw ValidationError(
        "unknown scheme \"\(scheme)\"; there are \(TensorEncoding.schemeNames.joined(separator: ", "))"
      )
    }
  }

  /// The recipe that the flags ask for.
  func resolved() throws -> Recipe {
    var recipe: Recipe
    if let path = self.recipe {
      let file = try MappedFile(path)
      guard file.byteCount <= Checkpoint.maximumParsedByteCount else {
        throw FileError.tooLarge(
          path, size: file.byteCount, limit: Checkpoint.maximumParsedByteCount)
      }
      recipe = try Recipe(parsing: file.bytes.copy(), file: path.string)
      if let method { recipe.method = method }
    } else if let encoding = scheme.flatMap({ TensorEncoding(schemeName: $0) }) {
      recipe = Recipe(defaultFor: encoding, method: method ?? .roundToNearest)
    } else {
      throw UsageError("give either --scheme or --recipe")
    }
    for text in overrides {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, let role = TensorRole(rawValue: parts[0]) else {
        let roles = TensorRole.allCases.filter(\.isQuantizable).map(\.rawValue)
        throw UsageError(
          "--set \"\(text)\": expected role=scheme with one of the roles"
            + " \(roles.joined(separator: ", "))")
      }
      guard let scheme = RecipeScheme(name: parts[1]) else {
        throw UsageError("--set \"\(text)\": unknown scheme \"\(parts[1])\"")
      }
      recipe = try recipe.overriding(role: role, with: scheme)
    }
    return recipe
  }
}

extension RoundingMethod: ExpressibleByArgument {}

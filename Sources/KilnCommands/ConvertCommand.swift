// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Conversion
import JSON
import Kernels
import KimiLinear
import Safetensors
import SystemPackage
import TensorCore

/// `kiln convert`: between checkpoint folders and packed files.
struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a checkpoint to a .kiln file, or a .kiln file to a checkpoint folder.",
    discussion: """
      EXAMPLES
        kiln convert checkpoint/ model.kiln
        kiln convert model.kiln folder/
        kiln convert int4.kiln folder/ --dtype bf16

      Nothing is rounded: there and back again, every tensor and every file has
      the same bytes. Quantized tensors become code times scale, exact in f32.
      """)

  /// Element types for tensors that were quantized.
  enum ExportType: String, CaseIterable, ExpressibleByArgument {
    case bf16
    case f32

    var dtype: DType { self == .bf16 ? .bf16 : .f32 }
  }

  @Argument(
    help: "A checkpoint folder or .safetensors file, or a .kiln file.", completion: .file(),
    transform: { FilePath($0) })
  var source: FilePath

  @Argument(
    help: "The .kiln file, or the folder, to write.", completion: .file(),
    transform: { FilePath($0) })
  var output: FilePath

  @Option(
    help: ArgumentHelp(
      "Element type for quantized tensors of a .kiln file: bf16 or f32.",
      discussion: "Default: f32, in which they are exact. Other tensors keep their type."))
  var dtype: ExportType?

  @Option(
    help: ArgumentHelp(
      "Most bytes of tensors in a safetensors file, such as 2GB or 500MiB.",
      discussion: "Default: 5GB.", valueName: "size"))
  var shardSize: ByteSize?

  @Flag(help: "Print what would be written, and write nothing.")
  var dryRun = false

  @OptionGroup var overwrite: OverwriteOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let checked = try Inputs.open(source, for: output, common)
    try checked.checkpoint.isPacked ? export(checked) : pack(checked)
  }

  private func pack(_ checked: CheckedCheckpoint) throws {
    guard dtype == nil, shardSize == nil else {
      throw UsageError("--dtype and --shard-size are for converting a .kiln file to a folder")
    }
    let plan = try PackingPlan(checked, recipe: nil, producer: Inputs.producer)
    let packing = Packing(plan, workers: common.workers)
    if dryRun {
      try packing.checkTarget(output, replacing: overwrite.force)
    } else {
      let printer = common.progressPrinter()
      _ = try packing.run(to: output, replacing: overwrite.force, progress: printer.show)
      printer.finish()
    }
    try report(
      tensors: plan.items.count, bytes: plan.fileByteCount, files: 1,
      memory: plan.peakMemoryByteCount(workers: common.workers))
  }

  private func export(_ checked: CheckedCheckpoint) throws {
    guard output.extension != "kiln" else {
      throw UsageError(
        "\(source) is a .kiln file already; name a folder to convert it to, or use quantize")
    }
    let export = SafetensorsExport(
      checked, dtype: (dtype ?? .f32).dtype,
      shardByteCount: shardSize?.byteCount ?? ShardPlan.defaultShardByteCount,
      workers: common.workers)
    if dryRun {
      try export.checkTarget(output, replacing: overwrite.force)
    } else {
      let printer = common.progressPrinter()
      try export.run(to: output, replacing: overwrite.force, progress: printer.show)
      printer.finish()
    }
    try report(
      tensors: export.tensorCount, bytes: export.byteCount, files: export.shardCount,
      memory: export.peakMemoryByteCount)
  }

  private func report(tensors: Int, bytes: Int, files: Int, memory: Int) throws {
    if common.json {
      try StandardOutput.print(json: [
        "output": .string(output.string),
        "dry_run": .bool(dryRun),
        "tensors": .integer(tensors),
        "bytes": .integer(bytes),
        "files": .integer(files),
        "peak_memory_bytes_estimate": .integer(memory),
      ])
    } else {
      let verb = dryRun ? "would write" : "wrote"
      let fileText = files == 1 ? "" : " in \(files) files"
      try StandardOutput.print(
        "\(verb) \(output.string.asOneLine): \(Quantities.grouped(tensors)) tensors,"
          + " \(Quantities.bytes(bytes))\(fileText)"
          + (dryRun ? "; peak memory about \(Quantities.bytes(memory))" : ""))
    }
  }
}

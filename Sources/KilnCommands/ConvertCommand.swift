// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Conversion
import JSON
import Kernels
import KimiLinear
import Reports
import Safetensors
import SystemPackage
import TensorCore

/// `kiln convert`: between checkpoint folders and packed files.
struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Convert a checkpoint to .kiln files, or .kiln files to a checkpoint folder or to other ones.",
    discussion: """
      EXAMPLES
        kiln convert checkpoint/ model.kiln
        kiln convert model.kiln folder/
        kiln convert int4.kiln folder/ --dtype bf16
        kiln convert checkpoint/ model.kiln --compress zstd --resume
        kiln convert shards/ model.kiln

      Nothing is rounded: there and back again, every tensor and every file has
      the same bytes. Quantized tensors become code times scale, exact in f32.
      A packed model is packed again if the output's name ends in .kiln.
      """)

  /// Element types for tensors that were quantized.
  enum ExportType: String, CaseIterable, ExpressibleByArgument {
    case bf16
    case f32

    var dtype: DType { self == .bf16 ? .bf16 : .f32 }
  }

  @Argument(
    help: "A checkpoint folder or .safetensors file, a .kiln file, or a folder of .kiln shards.",
    completion: .file(),
    transform: InputPath.read)
  var source: FilePath

  @Argument(
    help: ArgumentHelp("The .kiln file, or the folder, to write.", valueName: "output"),
    completion: .file(), transform: { try OutputPath($0) })
  var outputPath: OutputPath
  private var output: FilePath { outputPath.path }

  @Option(
    help: ArgumentHelp(
      "Element type for quantized tensors of a .kiln file: bf16 or f32.",
      discussion: "Default: f32, in which they are exact. Other tensors keep their type."))
  var dtype: ExportType?

  @OptionGroup var packed: PackedOutputOptions

  @Flag(help: "Print what would be written, and write nothing.")
  var dryRun = false

  @OptionGroup var overwrite: OverwriteOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    try common.checkFormat(ofResultWithoutTable: "one line")
  }

  func run() throws {
    let checked = try Inputs.open(source, for: output, common)
    let packs = !checked.checkpoint.isPacked || output.extension == "kiln"
    try outputPath.check(
      as: packs && packed.shardSize == nil ? .packedFile : .folder,
      folderHint: "--shard-size for a folder of .kiln files")
    // A packed model goes back to a folder, unless the name says that it is to be packed again:
    // merged, divided, or compressed in another way.
    try packs ? pack(checked) : export(checked)
  }

  private func pack(_ checked: CheckedCheckpoint) throws {
    guard dtype == nil else {
      throw UsageError("--dtype is for converting a .kiln file to a folder")
    }
    let plan = try PackingPlan(
      checked, recipe: nil, producer: Inputs.producer, options: packed.packing)
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
    let resumed = report?.resumedTensorCount ?? 0
    common.note(PackedOutputOptions.resumedMessages(resumed, of: plan.items.count))
    try self.report(
      tensors: plan.items.count, bytes: report?.fileByteCount ?? plan.fileByteCount,
      files: report?.fileCount ?? plan.shardCount,
      memory: plan.peakMemoryByteCount(workers: common.workers), resumed: resumed)
  }

  private func export(_ checked: CheckedCheckpoint) throws {
    guard packed.compress.level == nil, packed.shards == nil else {
      throw UsageError(
        "--compress and --shards are for .kiln outputs, and \(output) does not end in .kiln")
    }
    if let dtype, !checked.tensors.tensors.contains(where: \.encoding.isQuantized) {
      common.warn([
        "--dtype \(dtype.rawValue): no tensor is quantized, and others keep their type, so it changes nothing"
      ])
    }
    let export = try SafetensorsExport(
      checked, dtype: (dtype ?? .f32).dtype,
      shardByteCount: packed.shardSize?.byteCount ?? ShardPlan.defaultShardByteCount,
      workers: common.workers)
    var resumed = 0
    if dryRun {
      try export.checkTarget(output, replacing: overwrite.force)
    } else {
      let printer = common.progressPrinter()
      resumed = try export.run(
        to: output, replacing: overwrite.force, resuming: packed.resume, progress: printer.show)
      printer.finish()
    }
    common.note(PackedOutputOptions.resumedMessages(resumed, of: export.tensorCount))
    try report(
      tensors: export.tensorCount, bytes: export.byteCount, files: export.shardCount,
      memory: export.peakMemoryByteCount, resumed: resumed)
  }

  private func report(tensors: Int, bytes: Int, files: Int, memory: Int, resumed: Int) throws {
    let verb = dryRun ? "would write" : "wrote"
    let fileText = files == 1 ? "" : " in \(files) files"
    let atMost = dryRun && packed.compress.level != nil ? "at most " : ""
    try common.print(
      Report([
        .notes([
          Note(
            "\(verb) \(output.string.asOneLine): \(Quantities.counted(tensors, "tensor")),"
              + " \(atMost)\(Quantities.bytes(bytes))\(fileText)"
              + (dryRun ? "; peak memory about \(Quantities.bytes(memory))" : ""),
            [
              "output": .string(output.string), "dry_run": .bool(dryRun),
              "tensors": .integer(tensors), "bytes": .integer(bytes), "files": .integer(files),
              "resumed_tensors": .integer(resumed),
              "peak_memory_bytes_estimate": .integer(memory),
            ])
        ])
      ]))
  }
}

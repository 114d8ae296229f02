// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Calibration
import Checkpoints
import Conversion
import JSON
import Kernels
import KilnFormat
import KimiLinear
import Quantization
import Reports
import SystemPackage
import TensorCore

/// `kiln calibrate`: what a text says about a model, kept for any number of quantizations.
struct Calibrate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure once what parts of a model lose, for any number of quantizations.",
    discussion: """
      EXAMPLES
        kiln calibrate checkpoint/ text.calibration --calibration text.txt
        kiln quantize checkpoint/ small.kiln --target-bpw 5 \\
          --calibration text.calibration
        kiln quantize checkpoint/ large.kiln --target-bpw 6 \\
          --calibration text.calibration

      The file holds the tokens that were drawn, what each part loses at \(SensitivityScan.measured), and how
      many tokens each expert got. It is for this model alone.
      """)

  @OptionGroup var model: ModelArgument

  @Argument(
    help: ArgumentHelp("The file to write.", valueName: "output"), completion: .file(),
    transform: { try OutputPath($0) })
  var outputPath: OutputPath
  private var output: FilePath { outputPath.path }

  @Option(
    help: "A text, UTF-8, that is like what the model will be used for.", completion: .file(),
    transform: InputPath.read)
  var calibration: FilePath

  @OptionGroup var sampling: CalibrationSampling
  @OptionGroup var headOptions: HeadOptions

  @Option(help: "How parts are rounded to measure what they lose: rtn, search or gptq.")
  var method = RoundingMethod.gptq

  @OptionGroup var overwrite: OverwriteOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let checked = try Inputs.open(
      model.model, for: output, reading: [calibration], willRun: true, carriesFiles: false,
      head: headOptions, common)
    try outputPath.check(as: .saved("saved calibration"))
    try OutputFile.checkTarget(output, replacing: overwrite.force)
    try PackedIntegrity(checked.checkpoint).checkAll(workers: common.workers)
    let text = try sampling.text(calibration, for: checked, common)
    let quantized = checked.tensors.tensors.count(where: \.encoding.isQuantized)
    if quantized > 0 {
      common.warn([
        "\(model.model): \(quantized) of its matrices are quantized already, and are not measured"
      ])
    }
    let printer = common.progressPrinter()
    let measured = try UnitSensitivities(
      checked, sample: text.sample, method: method,
      options: Model.Options(kernel: .chunkwise(chunk: 16), workers: common.workers),
      progress: printer.show)
    printer.finish()
    let byteCount = try SavedCalibration.write(
      to: output, replacing: overwrite.force, producer: Inputs.producer, text,
      measured: measured, model: checked, workers: common.workers)
    try report(text, measured, byteCount: byteCount)
  }

  private func report(
    _ text: CalibrationText, _ measured: UnitSensitivities, byteCount: Int
  ) throws {
    var evidence = CalibrationEvidence()
    evidence.coverage = measured.coverage
    let described = text.json(with: evidence)
    try common.print(
      Report([
        .fields(
          [JSONMember]([
            "output": .string(output.string), "file_bytes": .integer(byteCount),
            "method": .string(method.rawValue), "calibration": described,
          ])),
        .table(measured.table),
        .notes(
          CalibrationReport(described).lines.map { Note($0) }
            + [Note("\(output.string.asOneLine): \(Quantities.bytes(byteCount))")]),
      ]))
  }
}

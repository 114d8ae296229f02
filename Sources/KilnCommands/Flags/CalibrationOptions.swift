// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Calibration
import Checkpoints
import Conversion
import KilnFormat
import KimiLinear
import SystemPackage
import TensorCore
import Tokenization

/// The text that matrices are rounded by, and which tokens of it.
struct CalibrationOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A text, UTF-8, to calibrate by, or what kiln calibrate wrote; needed by --method gptq.",
      discussion: "Any text that is like what the model will be used for."),
    completion: .file(), transform: { FilePath(argument: $0) })
  var calibration: FilePath?

  @OptionGroup var sampling: CalibrationSampling

  func validate() throws {
    if calibration == nil, let given = sampling.givenFlags.first {
      throw ValidationError("\(given) needs a text: --calibration FILE")
    }
  }

  /// The text in a model's tokens, or what was saved of it; nil if there is none.
  ///
  /// - Throws: What is wrong with the text, the tokenizer or the file.
  func resolved(for checked: CheckedCheckpoint, _ common: CommonOptions) throws -> CalibrationText?
  {
    guard let calibration else { return nil }
    if calibration.string != "-", FileKind(of: calibration) == .regular,
      KilnFile.recognizes(try MappedFile(calibration))
    {
      if let given = sampling.givenFlags.first {
        throw UsageError("\(given): \(calibration) is a saved calibration, whose windows are drawn")
      }
      let checkpoint = try Checkpoint(calibration, workers: common.workers)
      guard checkpoint.isSavedCalibration else {
        let kind = checkpoint.isSavedBase ? "a saved base" : "a model"
        throw UsageError(
          "--calibration: \(calibration) is \(kind), not a text or a saved calibration")
      }
      return try SavedCalibration(checkpoint, for: checked, workers: common.workers).text
    }
    return try sampling.text(calibration, for: checked, common)
  }
}

/// Which tokens of a text a calibration runs.
struct CalibrationSampling: ParsableArguments {
  /// Windows beyond this, times the longest context, would still be counted without overflow.
  private static let largestCount = 1 << 20
  /// A single token has no predecessor: attention and recurrence would not be seen at work.
  private static let smallestContext = 2
  /// Windows shorter than this are not what a recurrent model meets.
  private static let sensibleContext = 32

  @Option(
    help: ArgumentHelp(
      "Windows of the text that are used; by default \(CalibrationSample.defaultWindows).",
      valueName: "n"))
  var calibrationWindows: Int?

  @Option(
    help: ArgumentHelp(
      "Tokens of such a window; by default \(CalibrationSample.defaultContext).", valueName: "n"))
  var calibrationContext: Int?

  @Option(help: ArgumentHelp("Which windows are drawn; by default 0.", valueName: "seed"))
  var calibrationSeed: UInt64?

  func validate() throws {
    for (name, value, least) in [
      ("--calibration-windows", calibrationWindows, 1),
      ("--calibration-context", calibrationContext, Self.smallestContext),
    ] {
      if let value, !(least...Self.largestCount).contains(value) {
        throw ValidationError(
          "\(name) must be from \(least) to \(Self.largestCount), found \(value)")
      }
    }
  }

  /// Those of the flags that were given.
  var givenFlags: [String] {
    [
      ("--calibration-windows", calibrationWindows != nil),
      ("--calibration-context", calibrationContext != nil),
      ("--calibration-seed", calibrationSeed != nil),
    ].filter(\.1).map(\.0)
  }

  /// A text in a model's tokens.
  ///
  /// - Throws: What is wrong with the text or the tokenizer; `TextError.tooShort`.
  func text(
    _ path: FilePath, for checked: CheckedCheckpoint, _ common: CommonOptions
  ) throws -> CalibrationText {
    let text = try InputText.read(path.string)
    let tokens = try checked.tokenizer().encode(text, file: path.string)
    guard tokens.count >= Self.smallestContext else {
      throw TextError.tooShort(
        path.string, tokens: tokens.count, needed: Self.smallestContext)
    }
    let sample = CalibrationSample(
      tokens, windows: calibrationWindows ?? CalibrationSample.defaultWindows,
      context: calibrationContext ?? CalibrationSample.defaultContext,
      seed: calibrationSeed ?? 0)
    common.warn(warnings(sample, path, checked))
    return CalibrationText(text: text, sample: sample)
  }

  /// What speaks against a sample.
  private func warnings(
    _ sample: CalibrationSample, _ path: FilePath, _ checked: CheckedCheckpoint
  ) -> [String] {
    var warnings: [String] = []
    if let asked = calibrationContext, asked > sample.context {
      warnings.append(
        "--calibration-context \(asked): \(path) has only \(sample.context) tokens, which are one window"
      )
    }
    if let asked = calibrationWindows, asked > sample.windowCount {
      warnings.append(
        "--calibration-windows \(asked): \(path) has only \(sample.windowCount) windows of"
          + " \(sample.context) tokens, and all of them are used")
    }
    let width = checked.configuration.hiddenSize
    if sample.tokens.count < 2 * width {
      warnings.append(
        "\(path): only \(sample.tokens.count) tokens to calibrate by; inputs have \(width) numbers and want"
          + " at least \(2 * width) tokens, better many more")
    }
    if sample.context < Self.sensibleContext {
      warnings.append(
        "\(path): windows of only \(sample.context) tokens to calibrate by; the model will meet longer ones"
      )
    }
    return warnings
  }
}

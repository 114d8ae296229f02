// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Calibration
import Conversion
import KimiLinear
import SystemPackage
import TensorCore
import Tokenization

/// The text that `--method gptq` rounds by.
struct CalibrationOptions: ParsableArguments {
  /// Windows beyond this, times the longest context, would still be counted without overflow.
  private static let largestCount = 1 << 20

  @Option(
    help: ArgumentHelp(
      "A text, UTF-8, to calibrate by; needed by --method gptq.",
      discussion: "Any text that is like what the model will be used for."),
    completion: .file(), transform: { FilePath($0) })
  var calibration: FilePath?

  @Option(help: ArgumentHelp("Windows of the text that are used.", valueName: "n"))
  var calibrationWindows = CalibrationSample.defaultWindows

  @Option(help: ArgumentHelp("Tokens of such a window.", valueName: "n"))
  var calibrationContext = CalibrationSample.defaultContext

  @Option(help: ArgumentHelp("Which windows are drawn.", valueName: "seed"))
  var calibrationSeed: UInt64 = 0

  func validate() throws {
    for (name, value) in [
      ("--calibration-windows", calibrationWindows), ("--calibration-context", calibrationContext),
    ] where !(1...Self.largestCount).contains(value) {
      throw ValidationError("\(name) must be from 1 to \(Self.largestCount), found \(value)")
    }
  }

  /// The text in a model's tokens; nil if there is none.
  ///
  /// - Throws: What is wrong with the text or the tokenizer.
  func resolved(for checked: CheckedCheckpoint) throws -> CalibrationText? {
    guard let calibration else { return nil }
    let text = try InputText.read(calibration.string)
    let tokens = try checked.tokenizer().encode(text, file: calibration.string)
    guard !tokens.isEmpty else {
      throw TextError.tooShort(calibration.string, tokens: 0, needed: 1)
    }
    return CalibrationText(
      text: text,
      sample: CalibrationSample(
        tokens, windows: calibrationWindows, context: calibrationContext, seed: calibrationSeed))
  }
}

// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import TensorCore

/// Flags that every command has.
struct CommonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Threads to use; results do not depend on it.", discussion: "Default: all cores.",
      valueName: "n"))
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      "The form of the result: table, json, csv or markdown.",
      discussion: "csv is the most detailed table alone, with all of its columns. Default: table."))
  var format: ResultFormat?

  @Flag(name: .customLong("json"), help: "The same as --format json.")
  private var wantsJSON = false

  @Option(help: "Color in text: auto, always or never.")
  var color = Terminal.ColorChoice.auto

  @Option(help: "Progress on standard error: auto, plain or none.")
  var progress = ProgressPrinter.Style.auto

  @Flag(name: .shortAndLong, help: "No progress and no warnings.")
  var quiet = false

  func validate() throws {
    if let threads, threads < 1 {
      throw ValidationError("--threads must be at least 1, found \(threads)")
    }
    if wantsJSON, let format, format != .json {
      throw ValidationError("--json and --format \(format.rawValue) contradict each other")
    }
  }

  /// The form of the result.
  var resultFormat: ResultFormat { wantsJSON ? .json : format ?? .table }

  /// Whether the result is a JSON document.
  var json: Bool { resultFormat == .json }

  /// The threads to compute with: the flag, else what environment variables ask for, else all processors.
  var workers: Workers {
    // Wrong variables have ended the program before.
    let asked = try? EnvironmentSettings().threads?.count
    return Workers(count: threads ?? asked ?? Workers.processorCount)
  }

  /// Prepares for a command to run: checks the environment, and says what of it cannot be used.
  ///
  /// - Throws: `UsageError` for a wrong value of a variable of Kiln.
  func prepare() throws {
    Interruption.isQuiet = quiet
    let settings = try EnvironmentSettings()
    warn(settings.misspellings)
    if threads == nil { warn(settings.warnings) }
    if let asked = threads ?? settings.threads?.count, asked > Workers.maximum {
      warn(["\(asked) threads are more than Kiln can use; it uses \(Workers.maximum)"])
    }
  }

  /// A place to show progress.
  func progressPrinter() -> ProgressPrinter {
    ProgressPrinter(quiet ? .none : progress)
  }

  /// Says what is good to know, unless nobody wants it.
  func note(_ messages: [String]) {
    guard !quiet else { return }
    for message in messages { StandardError.print("kiln: \(message)") }
  }

  /// Shows warnings, unless nobody wants them.
  func warn(_ messages: [String]) {
    guard !quiet else { return }
    for message in messages { StandardError.warn(message) }
  }
}

extension ProgressPrinter.Style: ExpressibleByArgument {}

extension Terminal.ColorChoice: ExpressibleByArgument {}

/// The model that a command works on.
struct ModelArgument: ParsableArguments {
  @Argument(
    help: "A checkpoint folder, a .safetensors file, a .kiln file or a folder of .kiln shards.",
    completion: .file(), transform: InputPath.read)
  var model: FilePath
}

/// What to do about an output that exists.
struct OverwriteOptions: ParsableArguments {
  @Flag(
    name: .shortAndLong,
    help:
      "Replace the output if it exists: of a folder, all .kiln and .safetensors files; others stay."
  )
  var force = false
}

/// A command with the flags that all commands have.
protocol CommonCommand: ParsableCommand {
  var common: CommonOptions { get }
  /// Whether it is to leave a file behind.
  var writesFile: Bool { get }
}

extension CommonCommand {
  var writesFile: Bool { false }
}

extension Inspect: CommonCommand {}
extension Convert: CommonCommand { var writesFile: Bool { !dryRun } }
extension Calibrate: CommonCommand { var writesFile: Bool { true } }
extension Quantize: CommonCommand { var writesFile: Bool { !dryRun } }
extension Verify: CommonCommand {}
extension MeasurePerplexity: CommonCommand {
  var writesFile: Bool { tokenLogPath != nil || saveBasePath != nil }
}
extension Generate: CommonCommand {}
extension Tokenize: CommonCommand {}
extension Bench: CommonCommand {}

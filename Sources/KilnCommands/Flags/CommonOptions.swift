// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Kernels
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

  /// The threads to compute with: the flag, else what OpenMP and OpenBLAS are told, else all cores.
  var workers: Workers {
    let environment = ["KILN_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
    let asked = environment.lazy.compactMap { name in
      unsafe getenv(name).flatMap { unsafe Int(String(cString: $0)) }
    }.first { $0 > 0 }
    return Workers(count: threads ?? asked ?? Workers.processorCount)
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
    completion: .file(), transform: { FilePath($0) })
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

// SPDX-License-Identifier: Apache-2.0

public import ArgumentParser
import Glibc
import TensorCore

/// The tool: one command with a subcommand for each task.
public struct Kiln: ParsableCommand {
  /// The version of program and library.
  static let version = "0.1.0"

  /// Name, help and subcommands.
  public static let configuration = CommandConfiguration(
    commandName: "kiln",
    abstract: "Inspect, convert, quantize and validate checkpoints of the Kimi Linear family.",
    discussion: """
      EXAMPLES
        kiln inspect checkpoint/
        kiln quantize checkpoint/ model.kiln --scheme int4-g32 --method search
        kiln perplexity model.kiln --text sample.txt --context 512

      MODEL is a checkpoint folder, a .safetensors file, a .kiln file or a folder
      of .kiln shards.
      """,
    version: version,
    groupedSubcommands: [
      CommandGroup(
        name: "Checkpoint",
        subcommands: [
          Inspect.self, Convert.self, Calibrate.self, Quantize.self, Verify.self,
        ]),
      CommandGroup(
        name: "Evaluation",
        subcommands: [MeasurePerplexity.self, Generate.self, Tokenize.self, Bench.self]),
    ])

  /// Makes a command without flags.
  public init() {}

  /// Parses the command line, runs the command and ends the process with its exit code.
  public static func runAndExit() -> Never {
    StandardDescriptors.reserve()
    Interruption.install()
    let arguments = ProcessArguments.all
    StandardError.color = ProcessArguments.color(arguments)
    do {
      try run(arguments)
      Glibc.exit(ExitStatus.success.rawValue)
    } catch {
      Glibc.exit(report(error, arguments))
    }
  }

  private static func run(_ arguments: [String]) throws {
    if let request = try VersionRequest(arguments) {
      try request.run()
      return
    }
    var command = try parseAsRoot(arguments)
    if let command = command as? any CommonCommand {
      Interruption.expectsOutput = command.writesFile
      try command.common.prepare()
    }
    try command.run()
  }

  /// Says what went wrong, or prints the help that was asked for.
  ///
  /// - Returns: The exit code.
  private static func report(_ error: any Error, _ arguments: [String]) -> Int32 {
    switch error {
    case is ClosedPipe: return ExitStatus.closedPipe.rawValue
    case let error as any KilnError:
      StandardError.fail(error.description)
      return ExitStatus(error.category).rawValue
    default: break
    }
    let diagnosis = CommandVocabulary(dump: _dumpHelp()).map { UsageDiagnosis(arguments, $0) }
    switch exitCode(for: error) {
    case .success:
      // The parser prints help without a look at whether it arrives, and for commands that do not exist.
      if let problem = diagnosis?.unknownCommand { return usage(problem) }
      do {
        try StandardOutput.print(fullMessage(for: error))
        return ExitStatus.success.rawValue
      } catch {
        return report(error, arguments)
      }
    case .validationFailure:
      let lines = oneLine(error)
      if lines.hasPrefix("Missing value"), let joined = diagnosis?.withNegativeValues {
        return usage(negativeValue(joined) ?? lines)
      }
      return usage(diagnosis?.message(lines) ?? lines)
    case let code:
      let text = message(for: error)
      if !text.isEmpty { StandardError.fail(text) }
      return code.rawValue
    }
  }

  /// The parser's own report, which has three lines and quotes arguments as they are.
  private static func oneLine(_ error: any Error) -> String {
    message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
  }

  /// What is wrong with a command line in which negative numbers are joined to their options.
  private static func negativeValue(_ arguments: [String]) -> String? {
    do {
      _ = try parseAsRoot(arguments)
      let values = arguments.filter { $0.contains("=-") }
      return "a value that begins with - is joined to its option: \(values.joined(separator: " "))"
    } catch {
      let lines = oneLine(error)
      return CommandVocabulary(dump: _dumpHelp()).map {
        UsageDiagnosis(arguments, $0).message(lines)
      } ?? lines
    }
  }

  private static func usage(_ problem: String) -> Int32 {
    // A guess is what there is to see.
    let hint = problem.hasSuffix("?") ? "" : "; see --help"
    StandardError.fail("\(problem)\(hint)")
    return ExitStatus.usage.rawValue
  }
}

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

      MODEL is a checkpoint folder, a .safetensors file or a .kiln file.
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
    do {
      var command = try parseAsRoot()
      try command.run()
      Glibc.exit(ExitStatus.success.rawValue)
    } catch let error as any KilnError {
      StandardError.print("kiln: \(error.description.asOneLine)")
      Glibc.exit(ExitStatus(error.category).rawValue)
    } catch  where exitCode(for: error) == .validationFailure {
      // The parser's own report has three lines and quotes arguments as they are.
      let lines = message(for: error).split(whereSeparator: \.isNewline)
      StandardError.print("kiln: \(lines.joined(separator: " ").asOneLine); see --help")
      Glibc.exit(ExitStatus.usage.rawValue)
    } catch {
      exit(withError: error)
    }
  }
}

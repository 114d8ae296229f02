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
        name: "Checkpoint", subcommands: [Inspect.self, Convert.self, Quantize.self, Verify.self]),
      CommandGroup(name: "Evaluation", subcommands: [MeasurePerplexity.self, Tokenize.self]),
    ])

  /// Makes a command without flags.
  public init() {}

  /// Parses the command line, runs the command and ends the process with its exit code.
  public static func runAndExit() -> Never {
    Interruption.install()
    do {
      var command = try parseAsRoot()
      try command.run()
      Glibc.exit(ExitStatus.success.rawValue)
    } catch let error as any KilnError {
      StandardError.print("kiln: \(error.description.asOneLine)")
      Glibc.exit(ExitStatus(error.category).rawValue)
    } catch {
      exit(withError: error)
    }
  }
}

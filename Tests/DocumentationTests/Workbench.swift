// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A folder with the files that examples name, in which they are run one after the other.
struct Workbench {
  /// Where commands run; the repository's folders and `../shared` are where pages say they are.
  let folder: FilePath
  private let environment: [String: String]

  /// Whether examples that take minutes are run, too: `make test-docs`.
  static let runsSlowExamples = unsafe getenv("KILN_SLOW_EXAMPLES") != nil

  /// Makes the files that commands name, in a folder of a test.
  ///
  /// - Throws: What went wrong.
  static func make(in temporary: TemporaryFolder, for commands: [String]) throws -> Workbench {
    let workbench = Workbench(
      folder: try temporary.makeFolder("work"),
      environment: ["PATH": searchPath, "LC_ALL": "C.UTF-8"])
    for name in ["Tests", "Formats", "Docs", "Scripts"] {
      try temporary.link("work/\(name)", to: DocumentationPage.path(name).string)
    }
    try temporary.link("work/checkpoint", to: Fixtures.nano.string)
    for name in ["text.txt", "sample.txt", "prompt.txt"] {
      try temporary.link(
        "work/\(name)", to: DocumentationPage.path("Tests/Fixtures/text/kiln.txt").string)
    }
    if let shared = SharedData.folder {
      try temporary.link("shared", to: shared.string)
      try temporary.link("work/mini", to: shared.appending("checkpoints/mini").string)
      for name in ["calibration.txt", "persuasion.txt", "documentation.txt"] {
        try temporary.link("work/\(name)", to: shared.appending("text/\(name)").string)
      }
    }
    for name in ["recipe.json", "experts.json"] { try temporary.write(recipe, as: "work/\(name)") }
    for (name, command) in preparation where commands.contains(where: { $0.contains(name) }) {
      try workbench.expectSuccess(command)
    }
    return workbench
  }

  /// `PATH` with the built tool before all others.
  private static var searchPath: String {
    let tool = ToolProcess.kiln.removingLastComponent().string
    let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
    return "\(tool):\(path)"
  }

  /// The recipe for serving of `Docs/Quantization.md`.
  private static let recipe = """
    {"kiln_recipe": 1, "rules":
      [{"role": ["routed_expert", "shared_expert", "kda_projection"], "scheme": "int4-g32"}]}
    """

  /// Files that examples take to be there, and what makes them.
  private static let preparation: KeyValuePairs = [
    "model.kiln": "kiln convert checkpoint/ model.kiln",
    "int4.kiln": "kiln quantize checkpoint/ int4.kiln --scheme int4-g32",
    "shards": "kiln convert checkpoint/ shards --shard-size 3MB",
    "ids.txt": "kiln tokenize checkpoint/ --text sample.txt > ids.txt",
    "sample.base": "kiln perplexity checkpoint/ --text sample.txt --save-base sample.base",
    "text.calibration":
      "kiln calibrate checkpoint/ text.calibration --calibration text.txt --calibration-windows 4",
  ]

  /// Runs a command in the language of the shell, as a reader of the page would.
  ///
  /// An output that an earlier example wrote is taken away first: examples are alternatives.
  func run(_ command: String, seconds: Double = 240) throws -> ToolProcess.Outcome {
    var limits = ToolProcess.Limits()
    limits.memoryKiB = nil
    limits.seconds = Self.runsSlowExamples ? 1200 : max(limits.seconds, seconds)
    let outputs = Self.outputs(of: command).map { "rm -rf -- '\($0)'; " }.joined()
    return try ToolProcess(
      "/bin/bash", ["-c", outputs + command], in: folder.string, environment: environment,
      redirection: "2>&1", limits: limits
    ).wait()
  }

  /// Runs a command that must succeed.
  ///
  /// - Returns: What it printed on both streams.
  @discardableResult
  func expectSuccess(_ command: String, at place: String = "") throws -> [String] {
    let outcome = try run(command)
    #expect(outcome.status == 0, "\(place) \(command): \(outcome.text)")
    return outcome.text.split(separator: "\n", omittingEmptySubsequences: false)
      .map(String.init).dropLast()
  }

  /// The files that a command of the tool writes.
  static func outputs(of command: String) -> [String] {
    var outputs: [String] = []
    for part in command.split(whereSeparator: { "|&;".contains($0) }) {
      let words = part.split(separator: " ").map(String.init)
      guard words.count > 1, words[0] == "kiln" else { continue }
      let writers = ["convert", "quantize", "calibrate"]
      if writers.contains(words[1]), words.count > 3, !words[3].hasPrefix("-") {
        outputs.append(words[3])
      }
      for (flag, value) in zip(words, words.dropFirst())
      where ["--save-base", "--token-log"].contains(flag) {
        outputs.append(value)
      }
    }
    // A link into the repository is never an output.
    return outputs.filter { !$0.hasPrefix("Tests") && !$0.hasPrefix("checkpoint") }
  }
}

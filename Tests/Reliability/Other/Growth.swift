// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TestSupport

/// R19: memory does not grow with the checkpoint.
enum Growth {
  static let experiment = Experiment(promises: ["R19"], name: "memory", run: run)

  /// Layers of the real dimensions with 32 experts, the first of them dense: 1, 4 and 16 times as many
  /// of the others.
  private static let layerCounts = [3, 9, 33]
  /// Twice the largest tensor, 8192 rows of 2304 in BF16, and 512 MiB.
  private static let permittedByteCount = 2.0 * 8192 * 2304 * 2 + 512 * 1024 * 1024

  /// How much more than the smallest checkpoint a larger one may take: what grows is the table of tensors, some
  /// hundred bytes for each.
  private static let permittedGrowth = 1.1

  private static let commands = [
    ["quantize", "--scheme", "int4-g32"], ["convert"], ["convert", "--compress", "zstd:1"],
  ]

  private static func run(_ session: Session) throws -> [Ledger] {
    let bounded = Ledger(
      "R19", "peak memory at 1, 4 and 16 times the size: twice the largest tensor and 512 MiB")
    let level = Ledger("R19", "peak memory at 4 and 16 times the size: within 10 % of that at 1")
    // Holes cost no room, but the outputs of the largest do.
    guard session.scale >= 1 else {
      for ledger in [bounded, level] { ledger.annotate("skipped: only tried in full") }
      return [bounded, level]
    }
    var smallest: [Int: Int] = [:]
    var notes = commands.map { $0.joined(separator: " ") }
    for layers in layerCounts {
      let model = session.folder.path.appending("layers-\(layers)")
      let options = ["--preset", "slice", "--experts", "32", "--layers", "\(layers)", "--sparse"]
      guard SyntheticCheckpoint.make(model, options, session) else {
        for ledger in [bounded, level] {
          ledger.annotate("skipped: no make_checkpoint.py, or no numpy for it")
        }
        return [bounded, level]
      }
      for (number, command) in commands.enumerated() {
        let (peak, problem) = try peak(of: command, on: model, session)
        let name = "\(command.joined(separator: " ")) of \(layers) layers"
        bounded.record(
          problem ?? exceeds(peak, permittedByteCount), name)
        if let first = smallest[number] {
          level.record(problem ?? exceeds(peak, Double(first) * permittedGrowth), name)
        } else {
          smallest[number] = peak
        }
        notes[number] += " \(peak >> 10)"
      }
      Files.remove(model)
    }
    bounded.annotate("KiB: " + notes.joined(separator: ", "))
    return [bounded, level]
  }

  /// The smaller peak of three runs: how many chunks wait for the disk at a time is chance.
  private static func peak(
    of command: [String], on model: FilePath, _ session: Session
  ) throws -> (byteCount: Int, problem: String?) {
    let output = session.folder.path.appending("grown.kiln")
    var smallest = Int.max
    for _ in 0..<3 {
      let outcome = try session.run(
        [command[0], model.string, output.string] + command.dropFirst() + ["--force"],
        seconds: 900, mapsLargeFiles: true)
      Files.remove(output)
      guard outcome.status == 0 else { return (0, outcome.errors) }
      guard outcome.observedPeakMemoryByteCount > 0 else { return (0, "memory was not seen") }
      smallest = min(smallest, outcome.observedPeakMemoryByteCount)
    }
    return (smallest, nil)
  }

  private static func exceeds(_ byteCount: Int, _ permitted: Double) -> String? {
    Double(byteCount) > permitted ? "\(byteCount) bytes, permitted \(Int(permitted))" : nil
  }
}

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
  ///
  /// What grows is the table of tensors: some kilobytes for each, beside the 40 MB that a small checkpoint takes.
  private static let permittedByteCount = 2.0 * 8192 * 2304 * 2 + 512 * 1024 * 1024

  private static func run(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger(
      "R19", "peak memory at 1, 4 and 16 times the size: twice the largest tensor and 512 MiB")
    // Holes cost no room, but the outputs of the largest do.
    guard session.scale >= 1 else {
      ledger.annotate("skipped: only tried in full")
      return [ledger]
    }
    let folder = session.folder.path
    var peaks: [String] = []
    for layers in layerCounts {
      let model = folder.appending("layers-\(layers)")
      let options = ["--preset", "slice", "--experts", "32", "--layers", "\(layers)", "--sparse"]
      guard SyntheticCheckpoint.make(model, options, session) else {
        ledger.annotate("skipped: no make_checkpoint.py, or no numpy for it")
        return [ledger]
      }
      let output = folder.appending("grown.kiln")
      for command in [["quantize", "--scheme", "int4-g32"], ["convert", "--compress", "zstd:1"]] {
        let arguments = [command[0], model.string, output.string] + command.dropFirst()
        let outcome = try session.run(arguments + ["--force"], seconds: 900, mapsLargeFiles: true)
        let peak = outcome.peakMemoryByteCount
        peaks.append("\(command[0]) \(peak >> 20)")
        var problem = outcome.status == 0 ? nil : outcome.errors
        if problem == nil, Double(peak) > permittedByteCount {
          problem = "\(peak) bytes, permitted \(Int(permittedByteCount))"
        }
        ledger.record(problem, "\(command[0]) of \(layers) layers")
        Files.remove(output)
      }
      Files.remove(model)
    }
    ledger.annotate("MiB: " + peaks.joined(separator: ", "))
    return [ledger]
  }
}

// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TestSupport

/// R20: the same input gives the same bytes, whatever the number of threads and however often.
enum Determinism {
  static let experiment = Experiment(promises: ["R20"], name: "same bytes", run: run)

  private static func run(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger("R20", "outputs of 1, 2 and 8 threads, two runs each: same digest")
    let nano = Fixtures.nano.string
    let packed = session.folder.path.appending("deterministic.kiln").string
    let quantized = session.folder.path.appending("deterministic-int4.kiln").string
    for arguments in [
      ["convert", nano, packed], ["quantize", nano, quantized, "--scheme", "int4-g32"],
    ] {
      let outcome = try session.run(arguments)
      guard outcome.status == 0 else { throw ExperimentError(outcome.errors) }
    }
    let schemes = ["int4", "int5", "int6", "int8"].flatMap { bits in
      ["g32", "g64", "g128", "row"].map { "\(bits)-\($0)" }
    }
    var commands: [[String]] = schemes.flatMap { scheme in
      ["rtn", "search"].map { ["quantize", nano, "out.kiln", "--scheme", scheme, "--method", $0] }
    }
    commands += ["bf16", "f32"].map { ["quantize", nano, "out.kiln", "--scheme", $0] }
    commands += [
      ["convert", nano, "out.kiln"], ["convert", session.models.fused.string, "out.kiln"],
      ["convert", session.models.shards.string, "out.kiln"], ["convert", packed, "out"],
      ["convert", packed, "out", "--shard-size", "3MB"], ["convert", quantized, "out"],
      ["convert", quantized, "out", "--dtype", "bf16"],
      ["convert", nano, "out.kiln", "--compress", "zstd"],
      ["quantize", nano, "out.kiln", "--scheme", "int4-g32", "--compress", "zstd:9"],
      ["quantize", nano, "out", "--scheme", "int8-g32", "--shard-size", "1MB"],
      ["perplexity", nano, "--text", session.models.textFile.string, "--token-log", "out"],
    ]
    let all = commands
    try session.forEach(all.count, "same") { lane, index in
      var first: UInt64?
      let output = lane.appending(all[index].contains("out.kiln") ? "out.kiln" : "out")
      for threads in [1, 2, 8, 8, 2, 1] {
        let outcome = try session.run(all[index] + ["--threads", "\(threads)"], in: lane)
        let what = "\(all[index].joined(separator: " ")), \(threads) threads"
        guard outcome.status == 0, let digest = try Files.digest(output) else {
          ledger.record(outcome.errors, what)
          continue
        }
        ledger.record(digest == (first ?? digest) ? nil : "other bytes", what)
        first = first ?? digest
        try Files.empty(lane)
      }
    }
    return [ledger]
  }
}

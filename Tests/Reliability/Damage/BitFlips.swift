// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import Kernels
import SystemPackage
import TensorCore
import TestSupport

/// R9: every bit of head and tail, and one bit of every 64 bytes between.
///
/// A process for each of a hundred thousand flips would take an hour, so most go through the calls that
/// `verify` makes, in this process; a sample goes through the command.
enum BitFlips {
  static let experiment = Experiment(promises: ["R9"], name: "flipped bits", run: run)

  private static let borderByteCount = 4096

  private static func run(_ session: Session) throws -> [Ledger] {
    let library = Ledger("R9", "every bit of first and last 4 KiB, one in each 64 bytes between")
    let command = Ledger("R9", "a sample of them through the command")
    for (name, path) in [
      ("quantized", session.models.quantized), ("assembled", session.models.assembled),
    ] {
      let original = try Files.read(path)
      var random = session.random("bits \(name)")
      let all = bits(of: original.count, &random)
      let chosen = stride(from: 0, to: all.count, by: session.stride).map { all[$0] }
      let files = try session.lanes("bits-\(name)") {
        try DamagedFile(original, at: $0.appending("x.kiln"))
      }
      try session.forEach(chosen.count, in: files) { file, index in
        try flip(chosen[index], in: file) {
          library.record(isFound(file.path) ? nil : "is not found", "\(name), bit \(chosen[index])")
          guard index % 200 == 0 else { return }
          let outcome = try session.run(["verify", file.path.string])
          command.record(
            outcome.status == 2 ? nil : "exit code \(outcome.status)",
            "\(name), bit \(chosen[index])")
        }
      }
      guard !isFound(path) else { throw ExperimentError("the sound file is refused") }
    }
    return [library, command]
  }

  /// The bits to flip, in order.
  private static func bits(of byteCount: Int, _ random: inout SeededGenerator) -> [Int] {
    let borders =
      Array(0..<8 * borderByteCount) + Array(8 * (byteCount - borderByteCount)..<8 * byteCount)
    let between = stride(from: borderByteCount, to: byteCount - borderByteCount, by: 64).map {
      start in
      8 * start + Int.random(in: 0..<8 * 64, using: &random)
    }
    return borders + between
  }

  private static func flip(_ bit: Int, in file: DamagedFile, _ body: () throws -> Void) throws {
    let place = bit / 8
    try file.with(Damage(place..<place + 1, [file.original[place] ^ (1 << UInt8(bit % 8))]), body)
  }

  /// Whether what `verify` does finds something wrong.
  private static func isFound(_ path: FilePath) -> Bool {
    guard let checkpoint = try? Checkpoint(path) else { return true }
    guard
      let verification = try? Verification(
        checkpoint, workers: Workers(count: 1), progress: { _ in })
    else { return true }
    return !verification.findings.isEmpty
  }
}

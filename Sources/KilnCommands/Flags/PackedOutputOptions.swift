// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Compression
import Conversion
import SystemPackage
import TensorCore

/// How a packed model is stored, and what happens to a run that does not come to its end.
struct PackedOutputOptions: ParsableArguments {
  /// What `--compress` may say.
  enum Codec: ExpressibleByArgument {
    case none
    case zstd(level: Int)

    init?(argument: String) {
      let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
      switch (parts.first, parts.count) {
      case ("none", 1): self = .none
      case ("zstd", 1): self = .zstd(level: BlockCodec.defaultLevel)
      case ("zstd", 2):
        guard let level = Int(parts[1]), BlockCodec.levels.contains(level) else { return nil }
        self = .zstd(level: level)
      default: return nil
      }
    }

    var level: Int? {
      if case .zstd(let level) = self { level } else { nil }
    }
  }

  @Option(
    help: ArgumentHelp(
      "Compress the tensors of a .kiln file: none, or zstd[:LEVEL] with levels 1 to 22.",
      discussion: "For storage and transport: compressed tensors are unpacked before use.",
      valueName: "codec"),
    completion: .list(["none", "zstd"]))
  var compress = Codec.none

  @Option(
    help: ArgumentHelp(
      "Write a folder of files with at most so many bytes of tensors, such as 5GB or 500MiB.",
      valueName: "size"))
  var shardSize: ByteSize?

  @Option(
    help: ArgumentHelp(
      "Write only these .kiln shards, such as 3 or 2-4, so that several machines can share the work.",
      discussion: "Needs --shard-size. Put together in one folder, the shards are a model.",
      valueName: "numbers"))
  var shards: ShardNumbers?

  @Flag(
    help:
      "Go on where an earlier run was killed, and keep what is there if this one is interrupted.")
  var resume = false

  /// Smaller shards than this would be a file for nearly every tensor.
  private static let leastShardByteCount = 64_000

  func validate() throws {
    if let shardSize, shardSize.byteCount < Self.leastShardByteCount {
      throw ValidationError(
        "--shard-size \(shardSize.text): \(shardSize.byteCount) bytes would be a file for nearly every"
          + " tensor; give at least 64KB, and a unit, such as 5GB")
    }
    if shards != nil, shardSize == nil {
      throw ValidationError("--shards needs --shard-size, which decides how many there are")
    }
  }

  var packing: PackingPlan.Options {
    PackingPlan.Options(
      shardByteCount: shardSize?.byteCount, compressionLevel: compress.level, shards: shards?.range)
  }

  /// Refuses an output that cannot be made, before any work.
  ///
  /// - Throws: `FileError`.
  func checkTarget(_ output: FilePath, replacing: Bool) throws {
    if shardSize == nil {
      try OutputFile.checkTarget(output, replacing: replacing)
    } else {
      try OutputFolder.checkTarget(output, replacing: replacing)
    }
  }

  /// What a run that found the work of an earlier one says.
  static func resumedMessages(
    _ count: Int, of total: Int, replacesOtherJob: Bool = false
  ) -> [String] {
    if replacesOtherJob {
      return [
        "--resume: what an earlier run left is of another source, recipe or flags, and was replaced"
      ]
    }
    return count == 0
      ? [] : ["resumed: \(count) of \(total) tensors were there already, and are intact"]
  }
}

/// Numbers of shards on the command line: `3`, `2-4`.
struct ShardNumbers: ExpressibleByArgument {
  let range: ClosedRange<Int>

  init?(argument: String) {
    let parts = argument.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard (1...2).contains(parts.count), let first = parts[0], let last = parts[parts.count - 1],
      first >= 1, first <= last
    else { return nil }
    range = first...last
  }
}

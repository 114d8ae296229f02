// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Sizes and numbers of shards as they are written on the command line.
@Suite("--shard-size and --shards")
struct ShardSizeTests {
  /// The tensors of nano have 10,481,808 bytes.
  @Test(
    "units of 1000 and of 1024, in any case",
    arguments: [
      ("10481808", 1), ("10481808B", 1), ("10481807", 2), ("10482kB", 1), ("10481kB", 2),
      ("10237KiB", 1), ("10236kib", 2), ("10MiB", 1), ("10MB", 2), ("1GB", 1), ("1gib", 1),
    ])
  func sizes(_ size: String, _ files: Int) throws {
    let scratch = try Scratch()
    try expectSuccess(
      ["convert", Fixture.packed().path, "out", "--shard-size", size], in: scratch.folder)
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("out"))
    #expect(names.count { $0.hasSuffix(".safetensors") } == files, "\(names)")
  }

  @Test(
    "what is no size",
    arguments: [
      "0", "0GB", "", "GB", "-1MB", "1.5GB", "1XB", "1 MB", "9223372036854775807KB", "１MB",
    ])
  func badSizes(_ size: String) throws {
    let scratch = try Scratch()
    try scratch.nano()
    try expectFailure(
      ["convert", "model", "out", "--shard-size=\(size)"], Code.usage, naming: "shard-size",
      in: scratch)
  }

  @Test(
    "what is no number of a shard", arguments: ["0", "0-1", "2-1", "-1", "1-", "1-2-3", "x", ""])
  func badNumbers(_ numbers: String) throws {
    let scratch = try Scratch()
    try scratch.nano()
    try expectFailure(
      ["convert", "model", "out", "--shard-size", "4MB", "--shards=\(numbers)"], Code.usage,
      naming: "shards", in: scratch)
  }
}

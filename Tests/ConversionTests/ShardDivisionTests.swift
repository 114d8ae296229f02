// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import KilnFormat
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// How tensors are divided over the files of a packed model.
@Suite struct ShardDivisionTests {
  private func plan(
    _ source: FilePath, _ options: PackingPlan.Options
  ) throws -> PackingPlan {
    try PackingPlan(
      try CheckedCheckpoint(try Checkpoint(source)), recipe: nil, producer: "kiln test",
      options: options)
  }

  private func write(_ plan: PackingPlan, to output: FilePath) throws {
    _ = try Packing(plan, workers: Workers(count: 2)).run(
      to: output, replacing: false, progress: { _ in })
  }

  private func name(_ number: Int, of count: Int) -> String {
    func padded(_ number: Int) -> String { String(String(100_000 + number).dropFirst()) }
    return "model-\(padded(number))-of-\(padded(count)).kiln"
  }

  /// What stays together: the three matrices of an expert, or a tensor.
  private func run(_ name: ExactString) -> String {
    let parts = name.text.split(separator: ".")
    let isExpert = parts.count > 6 && parts[4] == "experts"
    return isExpert ? parts[..<6].joined(separator: ".") : name.text
  }

  @Test(arguments: [1, 5_000, 12_288, 20_000, 24_576, 60_000, 1 << 40])
  func `files are as full as they can be, and no expert is cut`(limit: Int) throws {
    try TemporaryFolder.with { folder in
      // An expert has three matrices of 4,096 bytes.
      let source = try TinyCheckpoint().write(to: folder)
      try pack(source, to: folder.path.appending("whole.kiln"))
      let whole = try KilnFile(folder.path.appending("whole.kiln")).header
      let plan = try plan(source, PackingPlan.Options(shardByteCount: limit))
      try write(plan, to: folder.path.appending("shards"))
      let names = (1...plan.shardCount).map { name($0, of: plan.shardCount) }
      #expect(try folder.entries(of: "shards") == names)
      let files = try names.map {
        try KilnFile(folder.path.appending("shards").appending($0))
      }
      #expect(files.reduce(0) { $0 + $1.file.byteCount } == plan.fileByteCount)
      let headers = files.map(\.header)
      #expect(headers.flatMap { $0.tensors.map(\.name) } == whole.tensors.map(\.name))
      #expect(headers.map { $0.files.map(\.name) }.first == whole.files.map(\.name))
      #expect(headers.dropFirst().allSatisfy { $0.files.isEmpty && $0.assemblies.isEmpty })
      #expect(headers.compactMap { $0.shard?.number } == Array(1...headers.count))
      #expect(headers.allSatisfy { $0.shard?.count == headers.count })
      #expect(Set(headers.map { $0.shard?.set }).count == 1)

      // Runs of each file, with their bytes.
      let runs = headers.map { header in
        var runs: [(name: String, byteCount: Int)] = []
        for tensor in header.tensors {
          let name = run(tensor.name)
          if runs.last?.name != name { runs.append((name, 0)) }
          runs[runs.count - 1].byteCount += tensor.extent.range.count
        }
        return runs
      }
      let all = runs.flatMap { $0.map(\.name) }
      #expect(Set(all).count == all.count, "an expert is cut")
      for (index, part) in runs.enumerated() {
        let byteCount = part.reduce(0) { $0 + $1.byteCount }
        #expect(byteCount <= limit || part.count == 1)
        if index + 1 < runs.count {
          #expect(byteCount + (runs[index + 1].first?.byteCount ?? 0) > limit)
        }
      }
    }
  }

  @Test func `an expert begins at a page, its later matrices follow at once`() throws {
    try TemporaryFolder.with { folder in
      // 65,024 bytes a matrix: none ends at a page border.
      let checkpoint = TinyCheckpoint {
        ($0.isLinear, $0.denseLayers, $0.hiddenSize, $0.expertWidth) = ([true], 0, 256, 127)
      }
      let packed = folder.path.appending("x.kiln")
      try pack(checkpoint.write(to: folder), to: packed)
      let tensors = try KilnFile(packed).header.tensors
      for expert in 0..<4 {
        let ranges = try ["w1", "w3", "w2"].map { matrix in
          let name = "model.layers.0.block_sparse_moe.experts.\(expert).\(matrix).weight"
          return try #require(tensors.first { $0.name.text == name }).extent.range
        }
        #expect(ranges[0].lowerBound % 4096 == 0)
        #expect(ranges[1].lowerBound == ranges[0].upperBound)
        #expect(ranges[2].lowerBound == ranges[1].upperBound)
        #expect(ranges.allSatisfy { $0.count == 65_024 })
      }
    }
  }

  @Test func `shards of another conversion are told from these`() throws {
    try TemporaryFolder.with { folder in
      let checkpoint = TinyCheckpoint()
      func set(
        _ source: String, producer: String = "kiln test", recipe: Recipe? = nil,
        limit: Int = 60_000, level: Int? = nil
      ) throws -> UInt64 {
        let plan = try PackingPlan(
          try CheckedCheckpoint(try Checkpoint(folder.path.appending(source))), recipe: recipe,
          producer: producer,
          options: PackingPlan.Options(shardByteCount: limit, compressionLevel: level))
        let output = folder.path.appending("out")
        _ = try Packing(plan, workers: Workers(count: 2)).run(
          to: output, replacing: true, progress: { _ in })
        let first = try KilnFile(output.appending(name(1, of: plan.shardCount)))
        return try #require(first.header.shard).set
      }
      // The same weights with another text of the same length, which no offset shows.
      try checkpoint.write(to: folder, as: "a")
      try checkpoint.write(to: folder, as: "b")
      try folder.write("paid\r\n", as: "b/LICENSE")
      let int4 = try recipe("int4-g32")
      let sets = [
        try set("a"), try set("b"), try set("a", producer: "kiln other"),
        try set("a", recipe: int4), try set("a", recipe: recipe("int4-g32", method: .search)),
        try set("a", limit: 50_000), try set("a", level: 1), try set("a", level: 2),
      ]
      #expect(Set(sets).count == sets.count)
      #expect(try set("a") == sets[0])
      #expect(try set("a", recipe: int4) == sets[3])
    }
  }

  @Test func `shards can be written one by one, and only those that there are`() throws {
    try TemporaryFolder.with { folder in
      let source = try TinyCheckpoint().write(to: folder)
      let whole = try plan(source, PackingPlan.Options(shardByteCount: 60_000))
      let count = whole.shardCount
      #expect(count > 3)
      try write(whole, to: folder.path.appending("whole"))
      for numbers in [1...1, 2...3, count...count] {
        let output = "part \(numbers.lowerBound)"
        let part = try plan(
          source, PackingPlan.Options(shardByteCount: 60_000, shards: numbers))
        try write(part, to: folder.path.appending(output))
        let names = numbers.map { name($0, of: count) }
        #expect(try folder.entries(of: output) == names && part.shardCount == numbers.count)
        for name in names {
          #expect(try folder.read("\(output)/\(name)") == folder.read("whole/\(name)"))
        }
      }
      for (numbers, wrong) in [
        (0...1, 0), (1...count + 1, count + 1), (count + 2...count + 3, count + 2),
      ] {
        #expect(throws: ConversionError.noSuchShard(number: wrong, count: count)) {
          try plan(source, PackingPlan.Options(shardByteCount: 60_000, shards: numbers))
        }
      }
    }
  }
}

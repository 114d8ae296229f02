// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Kernels
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A model computes the same from a packed file as from what that was made of.
@Suite struct PackedModelTests {
  private func pack(_ source: FilePath, to output: FilePath, recipe: Recipe?) throws {
    let plan = try PackingPlan(
      try CheckedCheckpoint(try Checkpoint(source)), recipe: recipe, producer: "test")
    _ = try Packing(plan, workers: Workers(count: 2)).run(
      to: output, replacing: false, progress: { _ in })
  }

  private func logits(_ path: FilePath, tokens: Int = 40) throws -> Matrix {
    let runner = try ModelRunner(path)
    return try runner.logits(runner.tokens(tokens, seed: 21))
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `a lossless packed file gives the same bits`(checkpoint: TinyCheckpoint) throws {
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder)
      try pack(source, to: folder.path.appending("x.kiln"), recipe: nil)
      #expect(areIdentical(try logits(source), try logits(folder.path.appending("x.kiln"))))
    }
  }

  @Test(
    arguments: TinyCheckpoint.variants,
    ["int4-g32", "int5-row", "int6-g32", "int8-row", "int4-row"])
  func `a quantized file gives the same bits as its values in float32`(
    checkpoint: TinyCheckpoint, scheme: String
  ) throws {
    let encoding = try #require(TensorEncoding(schemeName: scheme))
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder)
      let packed = folder.path.appending("x.kiln")
      try pack(
        source, to: packed, recipe: Recipe(defaultFor: encoding, method: .roundToNearest))
      let export = try SafetensorsExport(
        try CheckedCheckpoint(try Checkpoint(packed)), dtype: .f32, shardByteCount: 1 << 40,
        workers: Workers(count: 2))
      _ = try export.run(
        to: folder.path.appending("out"), replacing: false, progress: { _ in })
      // One token and many: products of a few rows take another way than those of many.
      for tokens in [1, 3, 40] {
        let quantized = try logits(packed, tokens: tokens)
        let plain = try logits(folder.path.appending("out"), tokens: tokens)
        #expect(areIdentical(quantized, plain), "\(tokens) tokens")
        #expect(!areIdentical(quantized, try logits(source, tokens: tokens)))
      }
    }
  }
}

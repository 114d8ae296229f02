// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Inspection
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A small checkpoint, what conversions make of it, and comparisons of these.
struct ComparedCheckpoints {
  var checkpoint = TinyCheckpoint {
    // Rows of 128 hold every group.
    ($0.hiddenSize, $0.expertWidth, $0.intermediateSize, $0.experts) = (128, 128, 128, 3)
  }
  /// A tensor that can be quantized.
  let name: ExactString = "model.layers.1.block_sparse_moe.experts.0.w1.weight"

  func compare(
    _ left: FilePath, _ right: FilePath, threads: Int = 2
  ) throws -> ModelComparison {
    try ModelComparison(
      Checkpoint(left), Checkpoint(right), workers: Workers(count: threads), progress: { _ in })
  }

  func pack(
    _ source: FilePath, _ folder: TemporaryFolder, as name: String, scheme: String? = nil,
    method: RoundingMethod = .roundToNearest
  ) throws -> FilePath {
    let path = folder.path.appending(name)
    let recipe = try scheme.map {
      Recipe(defaultFor: try #require(TensorEncoding(schemeName: $0)), method: method)
    }
    let plan = try PackingPlan(
      CheckedCheckpoint(Checkpoint(source)), recipe: recipe, producer: "test")
    _ = try Packing(plan, workers: Workers(count: 2)).run(
      to: path, replacing: false, progress: { _ in })
    return path
  }

  func export(
    _ source: FilePath, _ folder: TemporaryFolder, as name: String, dtype: DType = .f32
  ) throws -> FilePath {
    let path = folder.path.appending(name)
    _ = try SafetensorsExport(
      CheckedCheckpoint(Checkpoint(source)), dtype: dtype, shardByteCount: 1 << 17,
      workers: Workers(count: 2)
    ).run(to: path, replacing: false, progress: { _ in })
    return path
  }

  func verdicts(_ comparison: ModelComparison) -> Set<TensorComparison.Verdict> {
    Set(comparison.tensors.map(\.verdict))
  }

  func tensor(
    _ comparison: ModelComparison, _ name: ExactString? = nil
  ) throws -> TensorComparison {
    try #require(comparison.tensors.first { $0.name == name ?? self.name })
  }

  /// The checkpoint with one tensor changed.
  func changed(
    _ folder: TemporaryFolder, as copy: String, tensor name: String? = nil,
    _ change: (inout TinyTensor) -> Void
  ) throws -> FilePath {
    var tensors = checkpoint.tensors
    let index = try #require(tensors.firstIndex { $0.name == name ?? self.name.text })
    change(&tensors[index])
    return try checkpoint.write(to: folder, as: copy, tensors: tensors)
  }
}

extension TinyTensor {
  /// The same tensor with its values in another type.
  mutating func convert(to dtype: DType) {
    let values = self.values
    self.dtype = dtype
    bytes =
      switch dtype {
      case .bf16: values.flatMap { BFloat16($0).bitPattern.littleEndianBytes }
      case .f16: values.flatMap { Float16($0).bitPattern.littleEndianBytes }
      default: values.flatMap { $0.bitPattern.littleEndianBytes }
      }
  }

  /// Its values, of BF16 and F32.
  var values: [Float] {
    let width = dtype.bitWidth / 8
    return stride(from: 0, to: bytes.count, by: width).map { place in
      let bits = (0..<width).reduce(0 as UInt32) { $0 | UInt32(bytes[place + $1]) << (8 * $1) }
      return Float(bitPattern: dtype == .bf16 ? bits << 16 : bits)
    }
  }
}

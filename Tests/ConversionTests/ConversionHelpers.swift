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

/// Writes a packed file of a checkpoint.
@discardableResult
func pack(
  _ source: FilePath, to output: FilePath, recipe: Recipe? = nil, threads: Int = 2,
  replacing: Bool = false
) throws -> (plan: PackingPlan, report: Packing.Report) {
  let plan = try PackingPlan(
    try CheckedCheckpoint(try Checkpoint(source)), recipe: recipe, producer: "kiln test")
  let report = try Packing(plan, workers: Workers(count: threads)).run(
    to: output, replacing: replacing, progress: { _ in })
  return (plan, report)
}

/// Writes a folder of a packed file.
func export(
  _ source: FilePath, to output: FilePath, dtype: DType = .f32, shardByteCount: Int = 1 << 40,
  threads: Int = 2
) throws {
  let export = try SafetensorsExport(
    try CheckedCheckpoint(try Checkpoint(source)), dtype: dtype, shardByteCount: shardByteCount,
    workers: Workers(count: threads))
  _ = try export.run(to: output, replacing: false, progress: { _ in })
}

/// The tensors of a checkpoint under the names that it gives them, sorted by name.
func storedTensors(_ path: FilePath) throws -> [TinyTensor] {
  try Checkpoint(path).storedTensors.map { stored in
    let region = try stored.load(workers: Workers(count: 1)).region
    return TinyTensor(
      name: stored.name.text, dtype: stored.sourceDType, shape: stored.shape.dimensions,
      bytes: region.bytes.copy())
  }.sorted { $0.name < $1.name }
}

/// A recipe that quantizes what may be quantized, with one scheme.
func recipe(
  _ scheme: String, method: RoundingMethod = .roundToNearest
) throws -> Recipe {
  Recipe(defaultFor: try #require(TensorEncoding(schemeName: scheme)), method: method)
}

extension TinyTensor {
  /// The values of floating-point elements.
  var values: [Float] {
    let width = dtype.bitWidth / 8
    return stride(from: 0, to: bytes.count, by: width).map { start in
      let bits = bytes[start..<start + width].reversed().reduce(0 as UInt32) {
        $0 << 8 | UInt32($1)
      }
      return switch dtype {
      case .bf16: Float(bitPattern: bits << 16)
      case .f16: Float(Float16(bitPattern: UInt16(bits)))
      default: Float(bitPattern: bits)
      }
    }
  }
}

/// The values of a quantized tensor, computed as `Formats/Kiln.md` says and in no other way.
func dequantized(_ bytes: [UInt8], rows: Int, columns: Int, bits: Int, group: Int) -> [Float] {
  let codeBytes = rows * columns * bits / 8
  let stream = bytes[..<codeBytes].flatMap { byte in (0..<8).map { Int(byte >> $0 & 1) } }
  let codes = (0..<rows * columns).map { element in
    (0..<bits).reduce(-(1 << (bits - 1))) { $0 + stream[element * bits + $1] << $1 }
  }
  let scales = bytes[codeBytes...]
  return codes.enumerated().map { index, code in
    let (row, column) = (index / columns, index % columns)
    let scale = scales.startIndex + 2 * (row * (columns / group) + column / group)
    return Float(code)
      * Float(bitPattern: UInt32(scales[scale]) << 16 | UInt32(scales[scale + 1]) << 24)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KilnFormat
import Quantization
import Safetensors
import TensorCore

/// One tensor of the folder, made of one or more tensors of the packed file.
struct ExportedTensor: Sendable {
  let planned: ShardPlan.Tensor
  let jobs: [ConversionStream.Job]

  static func all(of tensors: ModelTensors, dtype: DType) -> [ExportedTensor] {
    var assembled = Set<ExactString>()
    var exported: [ExportedTensor] = []
    for assembly in tensors.assemblies {
      assembled.formUnion(assembly.parts)
      exported.append(
        ExportedTensor(
          name: assembly.name, shape: assembly.shape,
          parts: assembly.parts.compactMap { tensors[$0] },
          dtype: dtype))
    }
    for stored in tensors.tensors where !assembled.contains(stored.name) {
      exported.append(
        ExportedTensor(
          name: stored.name, shape: stored.shape, parts: [stored], dtype: dtype))
    }
    let orders = exported.map { TensorOrder($0.planned.name) }
    return exported.indices.sorted { orders[$0] < orders[$1] }.map { exported[$0] }
  }

  /// `dtype` is for tensors of which a part is quantized.
  private init(name: ExactString, shape: TensorShape, parts: [StoredTensor], dtype: DType) {
    // Parts that were kept have one type, that of the source; one that was not decides for all.
    let kept = Set(parts.map(\.encoding))
    let target: DType
    if kept.count == 1, case .plain(let only)? = kept.first {
      target = only
    } else {
      target = dtype
    }
    jobs = parts.map { part in
      ConversionStream.Job(stored: part, encoding: .plain(target), method: .roundToNearest)
    }
    planned = ShardPlan.Tensor(
      name: name, dtype: target, shape: shape,
      byteCount: target.byteCount(elementCount: shape.elementCount) ?? 0)
  }
}

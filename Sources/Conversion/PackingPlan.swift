// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import JSON
package import Kernels
import KilnFormat
package import KimiLinear
package import Quantization
import SystemPackage
package import TensorCore

/// What a packed file will hold, decided before anything is written.
package struct PackingPlan: Sendable {
  /// What becomes of one tensor.
  package struct Item: Sendable {
    /// The tensor of the source.
    package let stored: StoredTensor
    /// What it does in the model.
    package let role: TensorRole
    /// How it will be written.
    package let encoding: TensorEncoding
    /// How scales are chosen, where it will be quantized.
    package let method: RoundingMethod
    /// Why the encoding is not what was asked for, if so.
    package let note: String?

    /// Bytes in the packed file.
    package var byteCount: Int { encoding.byteCount(stored.tensor.shape) ?? 0 }
    /// Whether values are rounded now.
    package var isQuantizedNow: Bool { encoding.isQuantized && encoding != stored.tensor.encoding }
  }

  /// The source.
  package let source: CheckedCheckpoint
  /// The tensors, in the order of the file.
  package let items: [Item]
  let layout: KilnLayout

  /// Bytes of the packed file.
  package var fileByteCount: Int { layout.fileByteCount }

  /// Plans a packed file.
  ///
  /// - Parameters:
  ///   - source: The checkpoint.
  ///   - recipe: How to quantize; nil to keep every tensor bit for bit.
  ///   - producer: Program and version, for the header.
  /// - Throws: `ConversionError.alreadyQuantized`.
  package init(_ source: CheckedCheckpoint, recipe: Recipe?, producer: String) throws {
    let checkpoint = source.checkpoint
    let items = try source.tensors.tensors.map { stored in
      try Self.item(stored, role: source.role(of: stored.name), recipe: recipe, checkpoint)
    }
    let orders = items.map { TensorOrder($0.stored.name) }
    let tensors = items.enumerated().map { index, item in
      KilnLayout.Tensor(
        name: item.stored.name, encoding: item.encoding, shape: item.stored.tensor.shape,
        sourceDType: item.stored.sourceDType,
        continuesRun: index > 0 && orders[index].continuesExpert(of: orders[index - 1]))
    }
    guard
      let layout = KilnLayout(
        producer: producer, source: Self.provenance(checkpoint),
        recipe: recipe?.json ?? checkpoint.recipe,
        files: checkpoint.files.map {
          KilnLayout.File(name: $0.name, byteCount: $0.region.byteCount)
        },
        tensors: tensors, assemblies: source.tensors.assemblies)
    else { throw ConversionError.tooLarge(checkpoint.path) }
    self.source = source
    self.items = items
    self.layout = layout
  }

  private static func item(
    _ stored: StoredTensor, role: TensorRole, recipe: Recipe?, _ checkpoint: Checkpoint
  ) throws -> Item {
    guard let recipe else {
      return Item(
        stored: stored, role: role, encoding: stored.tensor.encoding, method: .roundToNearest,
        note: nil)
    }
    let decision = recipe.decision(
      name: stored.name, role: role, shape: stored.tensor.shape, source: stored.tensor.encoding)
    if case .alreadyQuantized(let storedAs, let asked) = decision.reason {
      throw ConversionError.alreadyQuantized(
        checkpoint.path, name: stored.name.text, stored: storedAs.description,
        asked: asked.description)
    }
    return Item(
      stored: stored, role: role, encoding: decision.encoding, method: decision.method,
      note: decision.note)
  }

  /// Where the weights came from: for a packed source, what that says itself.
  private static func provenance(_ checkpoint: Checkpoint) -> KilnHeader.Source {
    checkpoint.packed?.header.source
      ?? KilnHeader.Source(
        format: "safetensors", tensorCount: checkpoint.storedTensors.count,
        byteCount: checkpoint.storedTensors.reduce(0) { $0 + $1.tensor.region.byteCount })
  }
}

extension PackingPlan {
  /// About how much memory writing takes, in bytes.
  package func peakMemoryByteCount(workers: Workers) -> Int {
    let scales = items.map { $0.encoding.scaleByteCount($0.stored.tensor.shape) }.max() ?? 0
    return ConversionStream.peakMemoryByteCount(
      largestTensor: items.map(\.stored.tensor.region.byteCount).max() ?? 0, workers: workers)
      + scales
  }
}

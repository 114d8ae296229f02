// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import TensorCore

/// The sizes of what a checkpoint holds, whatever model it is.
package struct ContentSummary: Sendable {
  /// All tensors.
  package let total: TensorShare
  /// By encoding, the largest first.
  package let byEncoding: [(encoding: String, share: TensorShare)]
  /// By layer, in order, and last, with nil, what is in none.
  package let byLayer: [(layer: Int?, share: TensorShare)]
  /// Tensors of 32-bit integers, in which other tools pack several weights an element.
  package let packedIntegerCount: Int

  /// Most layers that are told apart; a hostile file can name millions.
  private static let maximumLayerCount = 4096

  /// The sizes of some tensors.
  package init(_ tensors: [StoredTensor]) {
    var encodings: [String: TensorShare] = [:]
    var layers: [Int: TensorShare] = [:]
    var outside = TensorShare()
    var packedIntegerCount = 0
    for tensor in tensors {
      encodings[tensor.encoding.description, default: TensorShare()].add(tensor)
      if tensor.encoding == .plain(.u32) || tensor.encoding == .plain(.i32), tensor.shape.rank > 1 {
        packedIntegerCount += 1
      }
      if let layer = LayerNumber.of(tensor.name),
        layers[layer] != nil || layers.count < Self.maximumLayerCount
      {
        layers[layer, default: TensorShare()].add(tensor)
      } else {
        outside.add(tensor)
      }
    }
    total = encodings.values.reduce(TensorShare(), +)
    byEncoding = encodings.map { ($0.key, $0.value) }.sorted {
      ($1.1.byteCount, $0.0) < ($0.1.byteCount, $1.0)
    }
    byLayer =
      layers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
      + (outside.tensorCount == 0 ? [] : [(nil, outside)])
    self.packedIntegerCount = packedIntegerCount
  }
}

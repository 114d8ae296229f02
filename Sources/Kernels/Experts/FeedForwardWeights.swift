// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// The three stored matrices of a gated feed-forward layer: y = down (SiLU(gate x) * up x).
package struct FeedForwardWeights: Sendable {
  /// `[width, d]`.
  package let gate: EncodedTensor
  /// `[width, d]`.
  package let up: EncodedTensor
  /// `[d, width]`.
  package let down: EncodedTensor

  package init(gate: EncodedTensor, up: EncodedTensor, down: EncodedTensor) {
    self.gate = gate
    self.up = up
    self.down = down
  }

  /// Length of the hidden rows.
  package var width: Int { gate.shape.rows }
}

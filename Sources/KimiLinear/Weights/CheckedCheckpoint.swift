// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import SystemPackage
package import TensorCore

/// A checkpoint whose configuration is understood and whose tensors are all there.
package struct CheckedCheckpoint: Sendable {
  /// The open checkpoint.
  package let checkpoint: Checkpoint
  /// Its configuration.
  package let configuration: ModelConfiguration
  /// Its tensors under released names.
  package let tensors: ModelTensors
  /// Names of tensors that the configuration does not imply.
  package let unknownTensors: [ExactString]

  /// Checks a checkpoint; no tensor is read.
  ///
  /// - Throws: What is missing or wrong in its configuration or its tensors.
  package init(_ checkpoint: Checkpoint) throws {
    self.checkpoint = checkpoint
    configuration = try ModelConfiguration(try checkpoint.configuration())
    tensors = try ModelTensors(checkpoint)
    unknownTensors = try TensorInventory(configuration).check(
      tensors, model: checkpoint.path.string)
  }

  /// What a tensor does in the model.
  package func role(of name: ExactString) -> TensorRole {
    TensorRole(name: name, isLinearAttention: configuration.isLinearAttention(layer:))
  }
}

// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// What tensors do in the model, from their released names alone: a layer that has `A_log` is a KDA layer.
///
/// It needs no configuration, which a lone file of tensors does not have.
package struct InferredRoles: Sendable {
  private var linearLayers: Set<Int> = []

  /// Whether there is a KDA layer; without one the names may be those of any other family.
  package var hasLinearLayer: Bool { !linearLayers.isEmpty }

  /// Reads the names of all tensors.
  package init(_ names: some Sequence<ExactString>) {
    let (prefix, suffix) = ("model.layers.", ".self_attn.A_log")
    for name in names where name.text.hasPrefix(prefix) && name.text.hasSuffix(suffix) {
      let layer = name.text.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
      if let number = Int(Substring(layer)) { linearLayers.insert(number) }
    }
  }

  /// What a tensor does.
  package func role(of name: ExactString) -> TensorRole {
    TensorRole(name: name) { linearLayers.contains($0) }
  }
}

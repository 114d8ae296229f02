// SPDX-License-Identifier: Apache-2.0

import Checkpoints
package import KimiLinear
package import Quantization
import TensorCore

extension RecipeUse {
  /// Applies a recipe to the tensors of a checkpoint.
  ///
  /// - Parameters:
  ///   - recipe: The recipe.
  ///   - source: The checkpoint.
  package init(_ recipe: Recipe, of source: CheckedCheckpoint) {
    self.init(
      recipe,
      of: source.tensors.tensors.map { stored in
        Tensor(
          name: stored.name, role: source.role(of: stored.name), shape: stored.shape,
          source: stored.encoding)
      })
  }
}

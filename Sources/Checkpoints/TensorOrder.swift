// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// The place of a tensor in a packed file, told by its name (`Formats/Kiln.md`, Data).
///
/// Layers follow each other as they are computed, and the three matrices of an expert stand
/// together, whatever order the source had.
package struct TensorOrder: Comparable {
  private let section: Int
  private let layer: Int
  private let part: Int
  private let expert: Int
  private let matrix: Int
  private let name: ExactString

  /// The place of a tensor of the released dialect.
  package init(_ name: ExactString) {
    self.name = name
    let components = name.components
    var (section, layer, part, expert, matrix) = (4, 0, 0, 0, 0)
    switch name.text {
    case "model.embed_tokens.weight": section = 0
    case "model.norm.weight": section = 2
    case "lm_head.weight": section = 3
    default:
      if components.count >= 5, components[0] == "model", components[1] == "layers",
        let number = Int(components[2])
      {
        (section, layer) = (1, number)
        if components[3] == "block_sparse_moe" || components[3] == "mlp" {
          part = components[4] == "shared_experts" ? 2 : 1
        }
        if components.count >= 7, components[4] == "experts", let number = Int(components[5]) {
          (part, expert) = (3, number)
          matrix = ["w1": 0, "w3": 1, "w2": 2][components[6]] ?? 3
        }
      }
    }
    (self.section, self.layer, self.part) = (section, layer, part)
    (self.expert, self.matrix) = (expert, matrix)
  }

  /// Whether this tensor is a later matrix of the same expert as `other`.
  package func continuesExpert(of other: TensorOrder) -> Bool {
    part == 3 && matrix > 0
      && (section, layer, part, expert)
        == (other.section, other.layer, other.part, other.expert)
  }

  package static func < (left: TensorOrder, right: TensorOrder) -> Bool {
    let leftKey = (left.section, left.layer, left.part, left.expert, left.matrix)
    let rightKey = (right.section, right.layer, right.part, right.expert, right.matrix)
    return leftKey == rightKey ? left.name < right.name : leftKey < rightKey
  }
}

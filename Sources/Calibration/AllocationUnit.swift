// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import KimiLinear
package import Quantization
package import TensorCore

/// Matrices that get one scheme together.
///
/// Serving engines fuse q, k and v of a layer, and gate and up of an expert, so these are never divided; all
/// experts of a layer go together. The matrices that make a layer's outputs, o and down, are a unit of their own.
package struct AllocationUnit: Sendable, Hashable {
  /// What its matrices do.
  package let role: TensorRole
  /// Its layer; nil for embedding and head.
  package let layer: Int?
  /// Which of the role's matrices make outputs: `o_proj`, `w2`, `down_proj`; nil for the other ones.
  package let output: String?

  private static let outputs = ["o_proj", "w2", "down_proj"]

  /// A unit that was written down before.
  ///
  /// - Returns: nil if the model cannot have it: its output is none, or its role is never quantized.
  package init?(role: TensorRole, layer: Int?, output: String?) {
    guard role.isQuantizable, output.map({ Self.outputs.contains($0) }) ?? true else { return nil }
    self.role = role
    self.layer = layer
    self.output = output
  }

  /// The unit of a matrix; nil for what is not quantized.
  init?(_ name: ExactString, role: TensorRole) {
    guard role.isQuantizable else { return nil }
    let parts = name.text.split(separator: ".")
    self.role = role
    layer = parts.count > 2 && parts[1] == "layers" ? Int(parts[2]) : nil
    output = parts.dropLast().last.flatMap { part in Self.outputs.first { $0 == part } }
  }

  /// The units of a model with their matrices, in the order of the computation.
  ///
  /// What is quantized already, and what the model does not run through, is in none.
  package static func all(
    of source: CheckedCheckpoint
  ) -> [(unit: AllocationUnit, tensors: [StoredTensor])] {
    var units: [(unit: AllocationUnit, tensors: [StoredTensor])] = []
    var places: [AllocationUnit: Int] = [:]
    let unknown = Set(source.unknownTensors)
    for stored in source.tensors.tensors
    where stored.shape.rank == 2 && stored.shape.elementCount > 0
      && !stored.encoding.isQuantized && !unknown.contains(stored.name)
    {
      guard let unit = AllocationUnit(stored.name, role: source.role(of: stored.name)) else {
        continue
      }
      if let place = places[unit] {
        units[place].tensors.append(stored)
      } else {
        places[unit] = units.count
        units.append((unit, [stored]))
      }
    }
    return units
  }

  /// A rule for its matrices.
  ///
  /// That of outputs is the narrower one and comes first: without it the other one would match them, too.
  package func rule(_ encoding: TensorEncoding) -> RecipeRule {
    RecipeRule(
      roles: [role], name: output.flatMap { NamePattern("*.\($0).weight") },
      layers: layer.map { [$0...$0] } ?? [], scheme: .encoding(encoding))
  }

  /// What it is called in a table.
  package var description: String {
    (layer.map { "layer \($0) " } ?? "") + role.rawValue + (output.map { " \($0)" } ?? "")
  }
}

// SPDX-License-Identifier: Apache-2.0

package import JSON
import TensorCore

/// What a configuration says about a quantization by another tool, in one line.
package struct QuantizationNote: Sendable, Equatable {
  /// The line: `compressed-tensors, format pack-quantized, num_bits 4, group_size 32, …`.
  package let text: String

  /// Figures that are listed, and entries of the document that are looked at.
  private static let (maximumListed, maximumVisited) = (8, 10_000)
  /// What readers look for first.
  private static let leading: [ExactString] = [
    "quant_method", "format", "mode", "num_bits", "bits", "group_size", "strategy", "symmetric",
    "type",
  ]

  /// Reads `quantization_config` or MLX's `quantization`, at the root or in `text_config`.
  ///
  /// - Returns: nil if the configuration has neither.
  package init?(_ configuration: JSONValue) {
    let places = [configuration, configuration["text_config"] ?? .null]
    let keys: [ExactString] = ["quantization_config", "compression_config", "quantization"]
    let found = places.lazy.flatMap { place in keys.lazy.compactMap { place[$0] } }.first {
      if case .object = $0 { true } else { false }
    }
    guard let found else { return nil }
    var figures: [(key: ExactString, text: String)] = []
    var visited = 0
    Self.collect(found, into: &figures, visited: &visited)
    let listed = Self.leading.compactMap { key -> String? in
      guard let figure = figures.first(where: { $0.key == key }) else { return nil }
      return key == "quant_method" ? figure.text : "\(key) \(figure.text)"
    }
    text =
      listed.isEmpty ? "present, in a form that Kiln does not know" : listed.joined(separator: ", ")
  }

  /// Scalars of the document, those of outer objects before those of inner ones.
  private static func collect(
    _ value: JSONValue, into figures: inout [(key: ExactString, text: String)],
    visited: inout Int
  ) {
    guard case .object(let members) = value else { return }
    for member in members where visited < maximumVisited {
      visited += 1
      guard leading.contains(member.key) else { continue }
      switch member.value {
      case .string(let text): figures.append((member.key, text))
      case .integer(let number): figures.append((member.key, "\(number)"))
      case .bool(let flag): figures.append((member.key, "\(flag)"))
      default: break
      }
    }
    for member in members where visited < maximumVisited {
      if case .object = member.value { collect(member.value, into: &figures, visited: &visited) }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import TensorCore

/// Why a selection has no tensors, and what there is in place of what was asked for.
struct EmptySelection {
  /// What was asked for.
  let selection: TensorSelection
  /// All tensors, with their roles where the architecture is known.
  let tensors: [(stored: StoredTensor, role: TensorRole?)]

  /// The reason in a line.
  var text: String {
    if let problem = unmatchedFilters ?? missingRole ?? missingLayer ?? missingEncoding {
      return problem
    }
    let conditions = [
      selection.filters.isEmpty ? nil : "matches \(filterText)",
      selection.roles.isEmpty ? nil : "is of role \(roleText)",
      selection.layers.isEmpty ? nil : "is in layer \(layerText)",
      selection.encodings.isEmpty ? nil : "is in \(encodingText)",
    ].compactMap(\.self)
    return conditions.isEmpty
      ? "there are no tensors" : "no tensor \(conditions.joined(separator: " and "))"
  }

  private var filterText: String {
    selection.filters.map { "\"\($0.text)\"" }.joined(separator: " or ")
  }

  private var roleText: String {
    selection.roles.map(\.rawValue).sorted().joined(separator: " or ")
  }

  private var layerText: String {
    selection.layers.map(Self.text).joined(separator: " or ")
  }

  private var encodingText: String { selection.encodings.sorted().joined(separator: " or ") }

  // MARK: - Single conditions that nothing meets

  private func isMet(_ part: TensorSelection) -> Bool {
    tensors.contains { part.includes($0.stored, role: $0.role) }
  }

  private var unmatchedFilters: String? {
    let (filters, names) = (selection.filters, tensors.map(\.stored.name))
    guard let filter = filters.first, !isMet(TensorSelection(filters: filters)) else { return nil }
    let problem = "no tensor matches \(filterText)"
    if let (pattern, reason, name) = filter.translation(among: names) {
      return "\(problem); \(reason.map { "\($0): " } ?? "")\"\(pattern)\" would match, as \(name)"
    }
    return problem
      + (filter.guess(among: names).map { "; did you mean \"\($0.piece)\", as in \($0.name)?" }
        ?? "")
  }

  private var missingRole: String? {
    guard !selection.roles.isEmpty, !isMet(TensorSelection(roles: selection.roles)) else {
      return nil
    }
    let found = Set(tensors.compactMap(\.role))
    guard !found.isEmpty else {
      return
        "no tensor is of role \(roleText): roles are known only in models of the Kimi Linear family"
    }
    let names = TensorRole.allCases.filter(found.contains).map(\.rawValue)
    return "no tensor is of role \(roleText); there are \(names.joined(separator: ", "))"
  }

  private var missingLayer: String? {
    guard !selection.layers.isEmpty, !isMet(TensorSelection(layers: selection.layers)) else {
      return nil
    }
    var ranges: [ClosedRange<Int>] = []
    for layer in Set(tensors.compactMap { LayerNumber.of($0.stored.name) }).sorted() {
      // Layers that follow each other are a range.
      if let last = ranges.last, last.upperBound + 1 == layer {
        ranges[ranges.count - 1] = last.lowerBound...layer
      } else {
        ranges.append(layer...layer)
      }
    }
    let list = ranges.prefix(8).map(Self.text).joined(separator: ", ")
    return "no tensor is in layer \(layerText); "
      + (ranges.isEmpty
        ? "no name has a layer" : "layers are \(list)\(ranges.count > 8 ? ", …" : "")")
  }

  private var missingEncoding: String? {
    guard !selection.encodings.isEmpty,
      !isMet(TensorSelection(encodings: selection.encodings))
    else { return nil }
    let found = Set(tensors.map(\.stored.encoding.description)).sorted()
    return "no tensor is in \(encodingText); encodings are \(found.joined(separator: ", "))"
  }

  private static func text(of layers: ClosedRange<Int>) -> String {
    // All layers up to the largest number are one more than can be counted.
    layers.lowerBound == layers.upperBound
      ? "\(layers.lowerBound)" : "\(layers.lowerBound)-\(layers.upperBound)"
  }
}

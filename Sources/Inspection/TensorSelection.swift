// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import Quantization
package import TensorCore

/// Which tensors are to be shown; what is empty lets all of them pass.
package struct TensorSelection: Sendable {
  /// Names, wholly or in part, of which one has to fit.
  package var filters: [TensorFilter]
  /// What tensors do in the model.
  package var roles: Set<TensorRole>
  /// The layers that they belong to.
  package var layers: [ClosedRange<Int>]
  /// Their encodings, by name.
  package var encodings: Set<String>

  /// A selection.
  package init(
    filters: [TensorFilter] = [], roles: Set<TensorRole> = [], layers: [ClosedRange<Int>] = [],
    encodings: Set<String> = []
  ) {
    (self.filters, self.roles, self.layers, self.encodings) = (filters, roles, layers, encodings)
  }

  /// Whether a tensor is one of them.
  package func includes(_ tensor: StoredTensor, role: TensorRole?) -> Bool {
    if !filters.isEmpty, !filters.contains(where: { $0.matches(tensor.name) }) { return false }
    if !roles.isEmpty {
      guard let role, roles.contains(role) else { return false }
    }
    if !layers.isEmpty {
      guard let layer = LayerNumber.of(tensor.name), layers.contains(where: { $0.contains(layer) })
      else { return false }
    }
    return encodings.isEmpty || encodings.contains(tensor.encoding.description)
  }
}

/// A part of the names of tensors, or with `*` and `?` a pattern for all of a name.
package struct TensorFilter: Sendable {
  /// As the user wrote it.
  package let text: String
  /// nil for a part of the name.
  private let pattern: NamePattern?

  /// Reads a filter.
  ///
  /// - Returns: nil if `problem(in:)` finds one.
  package init?(_ text: String) {
    self.text = text
    guard text.contains("*") || text.contains("?") else {
      pattern = nil
      return
    }
    guard let pattern = NamePattern(text) else { return nil }
    self.pattern = pattern
  }

  /// What is wrong with a filter, in words; nil if nothing is.
  package static func problem(in text: String) -> String? {
    text.contains("*") || text.contains("?") ? NamePattern.problem(in: text) : nil
  }

  /// Whether a tensor's name fits.
  package func matches(_ name: ExactString) -> Bool {
    pattern?.matches(name) ?? name.text.contains(text)
  }

  /// A pattern that was probably meant by a filter that matches nothing, since names of another dialect, regular
  /// expressions or another case are no filters; with why, and a tensor that it matches.
  ///
  /// - Parameter names: All names.
  /// - Returns: nil if no such pattern matches anything.
  package func translation(
    among names: [ExactString]
  ) -> (pattern: String, reason: String?, name: ExactString)? {
    for guess in PatternGuess.all(for: text) {
      guard let candidate = NamePattern(guess.pattern),
        let name = names.first(where: candidate.matches)
      else { continue }
      return (guess.pattern, guess.reason, name)
    }
    return nil
  }

  /// What was probably meant by a filter that matches nothing: the filter with its first unknown piece replaced by
  /// the nearest piece of a name, and a tensor that has that piece.
  ///
  /// - Parameter names: All names.
  /// - Returns: nil if nothing comes near, or the pieces exist and only their order does not.
  package func guess(among names: [ExactString]) -> (piece: String, name: ExactString)? {
    let pieces = text.split { $0 == "*" || $0 == "?" }.map { piece in
      piece.split(separator: ".").joined(separator: ".")
    }
    let unknown = pieces.first { piece in
      !piece.isEmpty && !names.contains { $0.text.contains(piece) }
    }
    guard let unknown else { return nil }
    let length = unknown.split(separator: ".").count
    var windows: [String: ExactString] = [:]
    var candidates: [String] = []
    for name in names {
      let parts = name.text.split(separator: ".")
      guard parts.count >= length else { continue }
      for start in 0...parts.count - length {
        let window = parts[start..<start + length].joined(separator: ".")
        if windows.updateValue(windows[window] ?? name, forKey: window) == nil {
          candidates.append(window)
        }
      }
    }
    guard let piece = NearestName.of(unknown, among: candidates), let name = windows[piece] else {
      return nil
    }
    return (piece, name)
  }
}

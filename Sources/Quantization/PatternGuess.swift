// SPDX-License-Identifier: Apache-2.0

/// A pattern that somebody may have meant who wrote one that matches nothing.
package struct PatternGuess: Equatable {
  /// The pattern; it may match nothing either.
  package let pattern: String
  /// What was taken for something else; nil if the pattern is only incomplete.
  package let reason: String?

  /// Guesses, the likeliest first.
  package static func all(for text: String) -> [PatternGuess] {
    let (plain, isExpression) = withoutExpression(text)
    var forms: [(text: String, reason: String?)] = []
    let expression = isExpression ? "patterns are not regular expressions" : nil
    for (form, reason) in [
      (plain, nil), (withoutPrefix(plain), "names here do not begin so"),
      (released(plain), dialect(text)),
      (released(withoutPrefix(plain)), dialect(text)),
      (lowercase(plain), "names are compared letter by letter"),
      (lowercase(released(withoutPrefix(plain))), dialect(text)),
    ] where !forms.contains(where: { $0.text == form }) {
      forms.append((form, expression ?? reason))
    }
    return forms.flatMap { form, reason in
      completions(of: form, asPart: isExpression).filter { $0 != text }.map {
        PatternGuess(pattern: $0, reason: reason)
      }
    }
  }

  private static func dialect(_ text: String) -> String {
    text.contains("gate_up_proj")
      ? "gate_up_proj is w1 and w3 in the released dialect"
      : "names are those of the released dialect"
  }

  /// Patterns that have a given one as a part.
  ///
  /// - Parameters:
  ///   - text: The pattern.
  ///   - isPart: Whether it was to be found anywhere in a name, as regular expressions are.
  /// - Returns: The pattern itself, then longer ones.
  private static func completions(of text: String, asPart isPart: Bool) -> [String] {
    // Too short a part would be found anywhere.
    guard text.count(where: \.isLetter) >= 3 else { return [text] }
    let start = text.hasPrefix("*") ? "" : "*"
    let end = text.hasSuffix("*") ? "" : "*"
    let part = "\(start)\(text)\(end)"
    if isPart { return [text, part] }
    return [text, "\(text).weight", "model.\(text)", "model.\(text).weight"]
      + ["\(start)\(text)", "\(start)\(text).weight", "\(text)\(end)", part]
  }

  /// A regular expression as a pattern, as far as that goes.
  private static func withoutExpression(_ text: String) -> (text: String, isExpression: Bool) {
    let marks: [Character] = ["^", "$", "|", "(", ")", "+"]
    let isMarked = text.contains { marks.contains($0) }
    guard text.hasPrefix("re:") || text.hasPrefix(".*") || isMarked else { return (text, false) }
    var rest = Substring(text.hasPrefix("re:") ? text.dropFirst(3) : text[...])
    var pattern = ""
    while let character = rest.popFirst() {
      switch character {
      case "^", "$", ")", "|", "+": break
      case "(":
        // Any of the alternatives.
        rest = rest.drop { $0 != ")" }
        pattern += "*"
      case "." where rest.first == "*" || rest.first == "+":
        rest.removeFirst()
        pattern += "*"
      default: pattern.append(character)
      }
    }
    while let range = pattern.firstRange(of: "**") { pattern.replaceSubrange(range, with: "*") }
    return (pattern, true)
  }

  /// Without what checkpoints of models with more than text put in front.
  private static func withoutPrefix(_ text: String) -> String {
    for prefix in ["model.language_model.", "language_model.model.", "language_model."]
    where text.hasPrefix(prefix) {
      let rest = String(text.dropFirst(prefix.count))
      return rest.hasPrefix("layers.") || rest.hasPrefix("embed_tokens") || rest.hasPrefix("norm")
        ? "model.\(rest)" : rest
    }
    return text
  }

  private static func lowercase(_ text: String) -> String {
    replacing([("a_log", "A_log")], in: text.lowercased())
  }

  /// A name of transformers' dialect in the released one.
  private static func released(_ text: String) -> String {
    replacing(
      [
        ("mlp.experts.gate_up_proj", "block_sparse_moe.experts.*.w1"),
        ("mlp.experts.down_proj", "block_sparse_moe.experts.*.w2"),
        ("mlp.experts", "block_sparse_moe.experts"),
        ("mlp.shared_experts", "block_sparse_moe.shared_experts"),
        ("mlp.gate.", "block_sparse_moe.gate."),
        ("block_sparse_moe.gate_proj", "mlp.gate_proj"),
        ("block_sparse_moe.up_proj", "mlp.up_proj"),
        ("block_sparse_moe.down_proj", "mlp.down_proj"),
        ("self_attn.conv1d", "self_attn.?_conv1d"),
        ("forget_gate.", ""), ("forget_gate", "f_?_proj"),
      ] + (text.contains("mlp.experts.") || text.contains("moe.experts.") ? matrices : []),
      in: text)
  }

  /// What other checkpoints call the matrices of a routed expert.
  private static let matrices = [("gate_proj", "w1"), ("up_proj", "w3"), ("down_proj", "w2")]

  private static func replacing(_ pairs: [(String, String)], in text: String) -> String {
    var text = text
    for (old, new) in pairs {
      guard let range = text.firstRange(of: old) else { continue }
      text.replaceSubrange(range, with: new)
    }
    return text
  }
}

// SPDX-License-Identifier: Apache-2.0

/// What the reader of a text has: how wide a line may be, and which characters and colors there are.
package struct TextStyle: Sendable, Equatable {
  /// Cells of a line; nil for a pipe or a file, where lines are as long as they are.
  package let width: Int?
  /// Whether colors are wanted.
  package let isColored: Bool
  /// Whether characters beyond ASCII can be shown.
  package let isUnicode: Bool

  /// For pipes and files.
  package static let plain = TextStyle(width: nil, isColored: false, isUnicode: true)

  /// Describes a reader; a width that is no width counts as none.
  package init(width: Int?, isColored: Bool, isUnicode: Bool) {
    self.width = width.flatMap { $0 > 0 ? $0 : nil }
    self.isColored = isColored
    self.isUnicode = isUnicode
  }

  /// A text in the characters that the reader has.
  package func spelled(_ text: String) -> String {
    isUnicode ? text : text.asASCII
  }

  /// A text in the color of what it means.
  package func painted(_ text: String, _ tone: Tone) -> String {
    switch tone {
    case .plain: text
    case .good: escaped(text, code: 32)
    case .warning: escaped(text, code: 33)
    case .bad: escaped(text, code: 31)
    }
  }

  /// A text that stands out: titles.
  func bold(_ text: String) -> String { escaped(text, code: 1) }

  /// A text that stands back: remarks about the report.
  func dim(_ text: String) -> String { escaped(text, code: 2) }

  private func escaped(_ text: String, code: Int) -> String {
    isColored && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }
}

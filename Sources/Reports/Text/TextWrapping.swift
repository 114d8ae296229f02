// SPDX-License-Identifier: Apache-2.0

/// Prose in lines of a width.
enum TextWrapping {
  /// Breaks a text between words.
  ///
  /// A word that is longer than a line, such as a path, stays whole, so that it can be copied.
  ///
  /// - Parameters:
  ///   - text: One line.
  ///   - width: Cells of a line; nil for any number.
  /// - Returns: At least one line.
  static func lines(of text: String, width: Int?) -> [String] {
    guard let width, text.cellCount > width else { return [text] }
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ", omittingEmptySubsequences: false).map(String.init) {
      if line.isEmpty {
        line = word
      } else if line.cellCount + 1 + word.cellCount <= width {
        line += " " + word
      } else {
        lines.append(line)
        line = word
      }
    }
    return lines + [line]
  }
}

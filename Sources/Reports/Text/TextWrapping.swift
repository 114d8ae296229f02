// SPDX-License-Identifier: Apache-2.0

/// Prose in lines of a width.
enum TextWrapping {
  /// Breaks a text between words, and a word that is longer than a line behind its commas, as in JSON.
  ///
  /// What is longer still, such as a path, stays whole, so that it can be copied.
  ///
  /// - Parameters:
  ///   - text: One line.
  ///   - width: Cells of a line; nil for any number.
  /// - Returns: At least one line.
  static func lines(of text: String, width: Int?) -> [String] {
    guard let width, text.cellCount > width else { return [text] }
    var lines: [String] = []
    var line = ""
    for word in words(of: text) {
      for (index, part) in parts(of: word, width: width).enumerated() {
        let space = index == 0 ? " " : ""
        if line.isEmpty {
          line = part
        } else if line.cellCount + space.count + part.cellCount <= width {
          line += space + part
        } else {
          lines.append(line)
          line = part
        }
      }
    }
    return lines + [line]
  }

  /// What spaces part; a percent sign stays with its number.
  private static func words(of text: String) -> [String] {
    var words: [String] = []
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      if word.hasPrefix("%"), let last = words.popLast() {
        words.append("\(last) \(word)")
      } else {
        words.append(String(word))
      }
    }
    return words
  }

  private static func parts(of word: String, width: Int) -> [String] {
    guard word.cellCount > width else { return [word] }
    var parts = word.split(separator: ",", omittingEmptySubsequences: false).map { "\($0)," }
    parts[parts.count - 1].removeLast()
    return parts.filter { !$0.isEmpty }
  }
}

// SPDX-License-Identifier: Apache-2.0

import TensorCore

extension String {
  /// How many cells of a terminal the text takes.
  package var cellCount: Int {
    utf8.allSatisfy { $0 < 0x80 } ? utf8.count : unicodeScalars.reduce(0) { $0 + $1.cellCount }
  }

  /// The text, cut at the end to a number of cells.
  package func clipped(toCells limit: Int) -> String {
    cellCount <= limit ? self : String(prefix(ofCells: limit))
  }

  /// The text without its middle, if it takes more than a number of cells.
  ///
  /// Names of tensors differ at both ends, and more so at the second one, which keeps more.
  ///
  /// - Parameters:
  ///   - limit: Cells that there are.
  ///   - ellipsis: What stands for what is left out.
  /// - Returns: The text, or what fits of it.
  package func shortened(toCells limit: Int, ellipsis: String = "…") -> String {
    guard cellCount > limit else { return self }
    let room = limit - ellipsis.cellCount
    guard room > 0 else { return ellipsis.clipped(toCells: max(limit, 0)) }
    let start = prefix(ofCells: room * 2 / 5)
    return start + ellipsis + suffix(ofCells: room - room * 2 / 5)
  }

  /// The longest start that takes no more than a number of cells; characters stay whole.
  private func prefix(ofCells limit: Int) -> Substring {
    var count = 0
    return prefix { character in
      count += character.cellCount
      return count <= limit
    }
  }

  /// The longest end that takes no more than a number of cells; characters stay whole.
  private func suffix(ofCells limit: Int) -> Substring {
    var count = 0
    let length = reversed().prefix { character in
      count += character.cellCount
      return count <= limit
    }.count
    return suffix(length)
  }
}

extension Character {
  fileprivate var cellCount: Int { unicodeScalars.reduce(0) { $0 + $1.cellCount } }
}

extension Unicode.Scalar {
  /// Two for East Asian wide characters and emoji, none for marks that join the character before, else one.
  fileprivate var cellCount: Int {
    if value < 0x300 { return 1 }
    switch properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format: return 0
    default: break
    }
    // A vowel or final of Hangul joins the consonant before it.
    if (0x1160...0x11FF).contains(value) { return 0 }
    return properties.isEmojiPresentation || Self.wideRanges.contains { $0.contains(value) } ? 2 : 1
  }

  /// Blocks that Unicode's EastAsianWidth.txt has as W or F, in whole.
  private static let wideRanges: [ClosedRange<UInt32>] = [
    0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0xA4CF,
    0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F,
    0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x17000...0x18CFF, 0x1B000...0x1B2FF, 0x20000...0x3FFFD,
  ]
}

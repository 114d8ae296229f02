// SPDX-License-Identifier: Apache-2.0

import TensorCore

extension String {
  /// The text for a terminal that shows nothing but ASCII.
  ///
  /// Signs of our own reports have forms of their own; whatever else a name holds is escaped, as control
  /// characters are.
  package var asASCII: String {
    if utf8.allSatisfy({ $0 < 0x80 }) { return self }
    return unicodeScalars.map { scalar in
      scalar.isASCII ? String(scalar) : scalar.asciiForm ?? scalar.escapedForm
    }.joined()
  }
}

extension Unicode.Scalar {
  /// What stands for a sign of a report where there is only ASCII.
  fileprivate var asciiForm: String? {
    switch self {
    case "▁": "."
    case "▂": ":"
    case "▃": "-"
    case "▄": "="
    case "▅": "+"
    case "▆": "*"
    case "▇": "%"
    case "█": "#"
    case "░": "."
    case "–", "—", "−": "-"
    case "±": "+-"
    case "…": "..."
    case "×": "x"
    case "µ", "μ": "u"
    case "≤": "<="
    case "≥": ">="
    case "→": "->"
    case "‘", "’": "'"
    case "“", "”": "\""
    case "\u{A0}": " "
    default: nil
    }
  }
}

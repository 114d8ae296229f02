// SPDX-License-Identifier: Apache-2.0

extension String {
  /// Most bytes of an error message.
  private static let maximumLineByteCount = 4000

  /// One printable line: control characters escaped, length bounded.
  ///
  /// Messages quote names from files, which must not move the cursor or fill the screen.
  package var asOneLine: String {
    var line = ""
    for scalar in unicodeScalars {
      guard line.utf8.count < Self.maximumLineByteCount else { return line + "…" }
      if scalar.isPrintable {
        line.unicodeScalars.append(scalar)
      } else {
        line += scalar.escapedForm
      }
    }
    return line
  }
}

extension Unicode.Scalar {
  /// Whether a terminal shows it in its place: no control, no change of direction, no line break.
  package var isPrintable: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
      .unassigned:
      false
    default: true
    }
  }

  /// `\u{1b}`, as Swift and Rust write it; `\xe9` for a byte that is not UTF-8.
  package var escapedForm: String {
    if let byte = ByteText.byte(of: self) { return "\\x" + String(byte, radix: 16) }
    return "\\u{" + String(value, radix: 16) + "}"
  }
}

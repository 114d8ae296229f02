// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Why a vocabulary was refused, or why a text or an id list cannot be translated with it.
package enum TokenizerError: KilnError, Equatable {
  /// A line of the vocabulary is not `base64(token) rank`.
  case malformedLine(file: String, line: Int, found: String, expected: String)
  /// A rank stands on two lines.
  case duplicateRank(file: String, line: Int, rank: Int, firstLine: Int)
  /// A rank does not fit the number of lines, so that a lower one must be missing.
  case rankGap(file: String, line: Int, rank: Int, tokenCount: Int)
  /// The same bytes stand on two lines.
  case duplicateToken(file: String, line: Int, firstLine: Int)
  /// A single byte has no token, so that some texts could not be encoded.
  case missingByte(file: String, byte: UInt8)
  /// The model has fewer rows for tokens than the tokenizer has ids.
  case vocabularyTooSmall(file: String, idCount: Int, vocabularySize: Int)
  /// A key of `added_tokens_decoder` is not the id of a special token.
  case notASpecialToken(file: String, key: String, expected: ClosedRange<Int>)
  /// A special token has an empty name.
  case emptySpecialToken(file: String, id: Int)
  /// Two special tokens have one name.
  case duplicateSpecialToken(file: String, name: String, id: Int, firstID: Int)
  /// The text stops being UTF-8 at this byte.
  case invalidUTF8(file: String, offset: Int, byte: UInt8)
  /// No token has this id.
  case unknownID(Int, known: ClosedRange<Int>)

  /// Whether the files themselves are sound, and only ask for more than the model has.
  package var isMismatchWithModel: Bool {
    if case .vocabularyTooSmall = self { true } else { false }
  }

  package var category: ErrorCategory { .badData }

  package var description: String {
    switch self {
    case .malformedLine(let file, let line, let found, let expected):
      "\(file): line \(line): found \(found), expected \(expected)"
    case .duplicateRank(let file, let line, let rank, let firstLine):
      "\(file): line \(line): rank \(rank) is given twice, first on line \(firstLine)"
    case .rankGap(let file, let line, let rank, let tokenCount):
      """
      \(file): line \(line): rank \(rank) in a file of \(tokenCount) tokens, \
      expected each of 0 to \(tokenCount - 1) once
      """
    case .duplicateToken(let file, let line, let firstLine):
      "\(file): line \(line): the token is given twice, first on line \(firstLine)"
    case .missingByte(let file, let byte):
      "\(file): no token for the single byte \(hexadecimal(byte)), expected one for each of 256"
    case .vocabularyTooSmall(let file, let idCount, let vocabularySize):
      "\(file): the tokenizer has \(idCount) ids, the model's vocab_size is only \(vocabularySize)"
    case .notASpecialToken(let file, let key, let expected):
      """
      \(file): "added_tokens_decoder" has the key \(quoted(key)), expected an id \
      from \(expected.lowerBound) to \(expected.upperBound)
      """
    case .emptySpecialToken(let file, let id):
      "\(file): the special token \(id) has an empty name"
    case .duplicateSpecialToken(let file, let name, let id, let firstID):
      "\(file): the special tokens \(firstID) and \(id) have the same name, \(quoted(name))"
    case .invalidUTF8(let file, let offset, let byte):
      "\(file): not valid UTF-8 at byte \(offset): found \(hexadecimal(byte))"
    case .unknownID(let id, let known):
      "no token has the id \(id), expected \(known.lowerBound) to \(known.upperBound)"
    }
  }
}

/// `0x0A`.
private func hexadecimal(_ byte: UInt8) -> String {
  (byte < 0x10 ? "0x0" : "0x") + String(byte, radix: 16, uppercase: true)
}

/// The beginning of a text from a file, in quotes; an error stays one short line.
func quoted(_ text: some StringProtocol) -> String {
  quoted(text.utf8)
}

/// The beginning of bytes from a file, in quotes; what is not printable ASCII as `\x0A`.
func quoted(_ bytes: some Sequence<UInt8>) -> String {
  let limit = 40
  var text = "\""
  for (index, byte) in bytes.enumerated() {
    guard index < limit else { return text + "…\"" }
    if (0x20..<0x7F).contains(byte) {
      text.unicodeScalars.append(Unicode.Scalar(byte))
    } else {
      text += "\\x" + hexadecimal(byte).dropFirst(2)
    }
  }
  return text + "\""
}

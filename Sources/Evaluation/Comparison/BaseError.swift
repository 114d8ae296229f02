// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import TensorCore

/// Why a model cannot be compared with a base.
package enum BaseError: KilnError, Equatable {
  /// A saved base of a version that this reader does not know.
  case version(FilePath, found: Int, supported: Int)
  /// A saved base contradicts `Formats/Base.md`; `problem` says how.
  case malformed(FilePath, problem: String)
  /// Bytes of a saved base do not match their checksum, or padding is not 0.
  case damaged(FilePath, part: String)
  /// A saved base was made with other settings.
  case setting(FilePath, name: String, found: String, expected: String)
  /// A saved base was made from another text.
  case otherText(FilePath)
  /// The models have vocabularies of different sizes.
  case vocabulary(base: String, size: Int, model: String, expected: Int)
  /// The tokenizer of the base cuts the text in another way, from this token on.
  case tokenizer(base: String, model: String, token: Int)

  package var category: ErrorCategory { .badData }

  package var description: String {
    switch self {
    case .version(let path, let found, let supported):
      "\(path): saved base of version \(found), this program reads version \(supported)"
    case .malformed(let path, let problem):
      "\(path): saved base: \(problem)"
    case .damaged(let path, let part):
      "\(path): the \(part) is damaged: its checksum does not match"
    case .setting(let path, let name, let found, let expected):
      "\(path): the base was saved with \(name) \(found), this run has \(expected)"
    case .otherText(let path):
      "\(path): the base was saved for another text: its tokens differ"
    case .vocabulary(let base, let size, let model, let expected):
      "\(base): has a vocabulary of \(size), that of \(model) is \(expected)"
    case .tokenizer(let base, let model, let token):
      "\(base): its tokenizer does not give the tokens of \(model): the first difference is at token"
        + " \(token)"
    }
  }
}

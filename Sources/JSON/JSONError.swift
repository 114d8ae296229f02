// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Why a JSON text was refused, or why a value in it is not what a reader needs.
package enum JSONError: KilnError, Equatable {
  /// Not JSON at this byte of the file.
  case syntax(file: String, offset: Int, problem: String)
  /// A name stands twice in one object.
  case duplicateKey(file: String, offset: Int, key: String)
  /// A value that must be there is not. `path` is like `linear_attn_config.num_heads`.
  case missing(file: String, path: String)
  /// A value of the wrong kind or out of range.
  case unexpected(file: String, path: String, found: String, expected: String)

  package var category: ErrorCategory { .badData }

  package var description: String {
    switch self {
    case .syntax(let file, let offset, let problem):
      "\(file): not valid JSON at byte \(offset): \(problem)"
    case .duplicateKey(let file, let offset, let key):
      "\(file): key \"\(key)\" is given twice, again at byte \(offset)"
    case .missing(let file, let path):
      "\(file): key \"\(path)\" is missing"
    case .unexpected(let file, let path, let found, let expected):
      "\(file): \"\(path)\" is \(found), expected \(expected)"
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import TensorCore

/// Why a conversion was not done.
package enum ConversionError: KilnError, Equatable {
  /// A tensor is quantized already and would have to be rounded a second time.
  case alreadyQuantized(FilePath, name: String, stored: String, asked: String)
  /// The layout does not fit any file.
  case tooLarge(FilePath)

  package var category: ErrorCategory {
    switch self {
    case .alreadyQuantized: .usage
    case .tooLarge: .badData
    }
  }

  package var description: String {
    switch self {
    case .alreadyQuantized(let path, let name, let stored, let asked):
      "\(path): tensor \"\(name)\" is \(stored) already and \(asked) was asked for; quantize from the"
        + " original checkpoint"
    case .tooLarge(let path):
      "\(path): the packed file would be too large"
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import TensorCore

/// Why a saved calibration cannot be used.
package enum SavedCalibrationError: KilnError, Equatable {
  /// A version that this reader does not know.
  case version(FilePath, found: Int, supported: Int)
  /// It contradicts `Formats/Calibration.md`; `problem` says how.
  case malformed(FilePath, problem: String)
  /// Padding is not 0.
  case damaged(FilePath, part: String)
  /// It was made for another model.
  case otherModel(FilePath, model: String)
  /// A model loses something that is not a number: its weights hold NaN or infinities.
  case notFinite(model: String, unit: String)

  package var category: ErrorCategory { .badData }

  package var description: String {
    switch self {
    case .version(let path, let found, let supported):
      "\(path): saved calibration of version \(found), this program reads version \(supported)"
    case .malformed(let path, let problem):
      "\(path): saved calibration: \(problem)"
    case .damaged(let path, let part):
      "\(path): the \(part) is damaged"
    case .otherModel(let path, let model):
      "\(path): the calibration was saved for another model than \(model): configuration or weights differ"
    case .notFinite(let model, let unit):
      "\(model): what \(unit) loses is not a number; \"kiln inspect --stats\" shows which weights are NaN or infinite"
    }
  }
}

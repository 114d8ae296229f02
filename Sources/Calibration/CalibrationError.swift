// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Why a matrix was not quantized by a calibration text: a writer and the pass over the model disagree.
package enum CalibrationError: KilnError, Equatable {
  /// A matrix that the pass does not reach, has handed out before, or has passed by.
  case notThere(model: String, name: String)
  /// Codes and scales that are not a tensor of the encoding and the shape.
  case unfit(encoding: String, shape: String)

  package var category: ErrorCategory { .badData }

  package var description: String {
    switch self {
    case .notThere(let model, let name):
      "\(model): tensor \"\(name)\" was asked for when its calibration was not at it"
    case .unfit(let encoding, let shape):
      "codes and scales of a calibrated tensor do not make \(shape) of \(encoding)"
    }
  }
}

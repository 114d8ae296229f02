// SPDX-License-Identifier: Apache-2.0

package import KimiLinear
package import TensorCore

/// Why a model was not calibrated, or no schemes were chosen for it.
package enum CalibrationError: KilnError, Equatable {
  /// A writer and the pass over the model disagree: a matrix that the pass does not reach, has handed out before, or
  /// has passed by.
  case notThere(model: String, name: String)
  /// Codes and scales that are not a tensor of the encoding and the shape.
  case unfit(encoding: String, shape: String)
  /// Weights that the model runs through are NaN or infinite.
  case weightsNotFinite(model: String, weights: NonFiniteWeights)
  /// Activations are NaN or infinite, although the weights are finite.
  case activationsNotFinite(model: String, place: String)
  /// The loss of a part is not a number.
  case lossNotFinite(model: String, unit: String)
  /// There is nothing to choose schemes for: all matrices are quantized already.
  case nothingToQuantize(model: String)
  /// A size that cannot be reached, in bits per weight.
  case unreachableSize(model: String, asked: Double, smallest: Double, largest: Double)

  package var category: ErrorCategory {
    switch self {
    case .unreachableSize: .usage
    case .notThere, .unfit, .weightsNotFinite, .activationsNotFinite, .lossNotFinite,
      .nothingToQuantize:
      .badData
    }
  }

  package var description: String {
    switch self {
    case .notThere(let model, let name):
      "\(model): tensor \"\(name)\" was asked for when its calibration was not at it"
    case .unfit(let encoding, let shape):
      "codes and scales of a calibrated tensor do not make \(shape) of \(encoding)"
    case .weightsNotFinite(let model, let weights):
      "\(model): \(weights); a model with such weights cannot be calibrated"
    case .activationsNotFinite(let model, let place):
      "\(model): \(place) are not finite, although all weights are: they are too large for float32"
    case .lossNotFinite(let model, let unit):
      "\(model): what \(unit) loses at \(SensitivityScan.measured) is not a number"
    case .nothingToQuantize(let model):
      "\(model): all of its matrices are quantized already; calibrate the original checkpoint"
    case .unreachableSize(let model, let asked, let smallest, let largest):
      "\(model): \(asked.shortText) bits per weight cannot be reached: "
        + (asked < smallest
          ? "the smallest schemes give \(Self.text(smallest, .up))"
          : "everything at its largest scheme gives \(Self.text(largest, .down))")
        + "; choose from \(Self.text(smallest, .up)) to \(Self.text(largest, .down))"
    }
  }

  /// Three decimals, rounded into the range that can be reached: what is printed can be asked for.
  private static func text(_ value: Double, _ rule: FloatingPointRoundingRule) -> String {
    ((value * 1000).rounded(rule) / 1000).decimalText(decimals: 3)
  }
}

extension Double {
  /// The shortest text that reads as the same number, without a fraction of 0.
  fileprivate var shortText: String {
    let text = "\(self)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}

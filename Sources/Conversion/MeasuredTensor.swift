// SPDX-License-Identifier: Apache-2.0

import KilnFormat
package import Quantization

/// What was measured of a tensor while it was written.
package struct MeasuredTensor: Sendable, Equatable {
  /// Errors of its weights.
  package var statistics: QuantizationStatistics
  /// The relative error of its product's outputs on the calibration text; nil if it is not known.
  package var outputError: Double?

  /// Nothing was measured, unless something is given.
  package init(
    statistics: QuantizationStatistics = QuantizationStatistics(), outputError: Double? = nil
  ) {
    self.statistics = statistics
    self.outputError = outputError
  }

  /// What the header says about it; nil for a tensor that was not rounded.
  var errors: KilnHeader.TensorErrors? {
    guard statistics.elementCount > 0, statistics.relativeError.isFinite else { return nil }
    return KilnHeader.TensorErrors(weights: statistics.relativeError, outputs: outputError)
  }
}

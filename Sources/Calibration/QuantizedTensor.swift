// SPDX-License-Identifier: Apache-2.0

import Kernels
package import Quantization
package import TensorCore

/// A matrix that calibration has quantized, and what that cost.
package struct QuantizedTensor: Sendable {
  /// Codes and scales, in memory.
  package let tensor: EncodedTensor
  /// Errors of the weights.
  package let statistics: QuantizationStatistics
  /// Errors of the product's outputs on the calibration tokens; nil if they were not measured.
  package let outputError: OutputError?
  /// Why the method that was asked for was not used, if so.
  package let note: String?
}

/// What rounding costs at the output of a product: sums over rows of e H e^T and w H w^T.
package struct OutputError: Sendable, Equatable {
  package var squaredError: Double
  package var squaredNorm: Double

  package init(squaredError: Double = 0, squaredNorm: Double = 0) {
    self.squaredError = squaredError
    self.squaredNorm = squaredNorm
  }

  /// Measures the error of rounded weights.
  ///
  /// - Parameters:
  ///   - values: Rounded weights, `[rows, n]`.
  ///   - weights: The weights, `[rows, n]`.
  ///   - moments: H, `[n, n]`.
  init(of values: Matrix, against weights: Matrix, moments: Matrix) {
    var error = values
    error.subtract(weights)
    self.init(
      squaredError: Self.form(error, moments), squaredNorm: Self.form(weights, moments))
  }

  private static func form(_ rows: Matrix, _ moments: Matrix) -> Double {
    let product = rows.multiplied(by: moments)
    return (0..<rows.rows).reduce(0.0) { $0 + Double(dot(product.rowSpan($1), rows.rowSpan($1))) }
  }

  /// Root of error over norm; 0 where there is nothing to lose.
  package var relative: Double {
    squaredNorm > 0 ? max(squaredError / squaredNorm, 0).squareRoot() : 0
  }

  /// The sums of both.
  package static func + (left: Self, right: Self) -> Self {
    Self(
      squaredError: left.squaredError + right.squaredError,
      squaredNorm: left.squaredNorm + right.squaredNorm)
  }
}

// SPDX-License-Identifier: Apache-2.0

/// A mean with its standard error, positions taken as independent.
package struct SampleMean: Sendable, Equatable {
  /// The mean; NaN over no positions.
  package let value: Double
  /// s / sqrt(n) with the sample deviation s; NaN for fewer than two positions.
  package let standardError: Double

  /// The mean of some values, summed in their order.
  init(_ values: [Double]) {
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    value = mean
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    standardError = values.count > 1 ? (squares / (count - 1) / count).squareRoot() : .nan
  }
}

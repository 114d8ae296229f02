// SPDX-License-Identifier: Apache-2.0

import Kernels
package import TensorCore

/// What the values of a tensor look like.
///
/// Moments, extremes and histogram are over the finite values. Sums are float64, over blocks of
/// rows that depend on the shape alone, so the figures do not depend on the number of threads.
package struct TensorStatistics: Sendable, Equatable {
  /// Bars of the histogram.
  package static let binCount = 24
  /// How many standard deviations from the mean an outlier is.
  package static let outlierDeviations = 6.0

  package private(set) var minimum = Float.infinity
  package private(set) var maximum = -Float.infinity
  package private(set) var mean = 0.0
  package private(set) var standardDeviation = 0.0
  package private(set) var outlierCount = 0
  package private(set) var nanCount = 0
  package private(set) var infinityCount = 0
  package private(set) var zeroCount = 0
  package private(set) var finiteCount = 0
  /// Counts of finite values in `binCount` equal bins from `-largestMagnitude` to
  /// `+largestMagnitude`.
  package private(set) var histogram = [Int](repeating: 0, count: binCount)

  /// The largest absolute value.
  package var largestMagnitude: Float {
    finiteCount == 0 ? 0 : max(abs(minimum), abs(maximum))
  }

  /// Share of finite values beyond `outlierDeviations` standard deviations from the mean.
  package var outlierShare: Double {
    finiteCount == 0 ? 0 : Double(outlierCount) / Double(finiteCount)
  }

  /// Reads a tensor, twice: extremes and moments first, then what is measured against them.
  ///
  /// - Returns: nil for element types that Kiln does not compute with.
  package init?(_ tensor: EncodedTensor, workers: Workers) {
    if case .plain(let dtype) = tensor.encoding, !dtype.isComputable { return nil }
    let blocks = Self.blocks(of: tensor)
    let moments = workers.map(blocks.count) { Moments(tensor, rows: blocks[$0]) }
      .reduce(Moments()) { $0.merged(with: $1) }
    minimum = moments.minimum
    maximum = moments.maximum
    mean = moments.mean
    finiteCount = moments.count
    nanCount = moments.nanCount
    infinityCount = moments.infinityCount
    zeroCount = moments.zeroCount
    standardDeviation =
      moments.count == 0 ? 0 : (moments.squares / Double(moments.count)).squareRoot()
    let (magnitude, center, limit) = (
      largestMagnitude, mean, Self.outlierDeviations * standardDeviation
    )
    let tallies = workers.map(blocks.count) {
      Tally(tensor, rows: blocks[$0], magnitude: magnitude, center: center, limit: limit)
    }
    for tally in tallies {
      outlierCount += tally.outliers
      for bin in histogram.indices { histogram[bin] += tally.histogram[bin] }
    }
    tensor.region.release()
  }

  /// Rows that are widened together: about a million elements.
  private static func blocks(of tensor: EncodedTensor) -> [Range<Int>] {
    let rows = tensor.shape.rows
    let step = max(1, (1 << 20) / max(1, tensor.shape.columns))
    guard tensor.shape.elementCount > 0 else { return [] }
    return stride(from: 0, to: rows, by: step).map { $0..<min($0 + step, rows) }
  }
}

/// Widens some rows.
private func values(of tensor: EncodedTensor, rows: Range<Int>) -> [Float] {
  var values = [Float](repeating: 0, count: rows.count * tensor.shape.columns)
  var span = values.mutableSpan
  widen(tensor, rows: rows, into: &span)
  return values
}

/// Extremes and moments of a block.
private struct Moments: Sendable {
  var count = 0
  var mean = 0.0
  /// Sum of squared differences from the mean.
  var squares = 0.0
  var minimum = Float.infinity
  var maximum = -Float.infinity
  var nanCount = 0
  var infinityCount = 0
  var zeroCount = 0

  init() {}

  init(_ tensor: EncodedTensor, rows: Range<Int>) {
    let values = values(of: tensor, rows: rows)
    var sum = 0.0
    for value in values {
      if value.isFinite {
        count += 1
        sum += Double(value)
        minimum = Swift.min(minimum, value)
        maximum = Swift.max(maximum, value)
        if value == 0 { zeroCount += 1 }
      } else if value.isNaN {
        nanCount += 1
      } else {
        infinityCount += 1
      }
    }
    guard count > 0 else { return }
    mean = sum / Double(count)
    for value in values where value.isFinite {
      let difference = Double(value) - mean
      squares += difference * difference
    }
  }

  /// Both together.
  ///
  /// Source: Chan, Golub and LeVeque 1979, pairwise update.
  func merged(with other: Moments) -> Moments {
    var sum = self
    sum.minimum = Swift.min(minimum, other.minimum)
    sum.maximum = Swift.max(maximum, other.maximum)
    sum.nanCount += other.nanCount
    sum.infinityCount += other.infinityCount
    sum.zeroCount += other.zeroCount
    sum.count += other.count
    guard other.count > 0 else { return sum }
    let difference = other.mean - mean
    let share = Double(other.count) / Double(sum.count)
    sum.mean += difference * share
    sum.squares += other.squares + difference * difference * Double(count) * share
    return sum
  }
}

/// Outliers and histogram of a block.
private struct Tally: Sendable {
  var outliers = 0
  var histogram = [Int](repeating: 0, count: TensorStatistics.binCount)

  init(
    _ tensor: EncodedTensor, rows: Range<Int>, magnitude: Float, center: Double, limit: Double
  ) {
    let bins = Double(TensorStatistics.binCount)
    let width = 2 * Double(magnitude) / bins
    for value in values(of: tensor, rows: rows) where value.isFinite {
      if abs(Double(value) - center) > limit { outliers += 1 }
      let place = width > 0 ? (Double(value) + Double(magnitude)) / width : bins / 2
      histogram[min(max(Int(place), 0), TensorStatistics.binCount - 1)] += 1
    }
  }
}

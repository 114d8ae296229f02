// SPDX-License-Identifier: Apache-2.0

package import Kernels
import TensorCore

/// Calibrated rounding of one row, written to be read; `WeightPanel` gives the same bits for sixteen.
///
/// All arithmetic is float32, products and sums rounded one by one, in the order of these loops.
package struct ReferenceRounding: Sendable {
  let range: CodeRange
  /// Columns that share a scale.
  let group: Int

  /// Scales of each sign that the search tries, as in the kernel.
  private static let triedScales = 32

  /// - Parameters:
  ///   - bits: 4, 5, 6 or 8.
  ///   - group: Columns that share a scale.
  package init(bits: Int, group: Int) {
    range = CodeRange(bits: bits)
    self.group = group
  }

  /// Codes and scales of a row.
  package struct Row: Equatable, Sendable {
    /// One for each column.
    package var codes: [Float]
    /// One for each group.
    package var scales: [Float]

    package init(codes: [Float], scales: [Float]) {
      self.codes = codes
      self.scales = scales
    }
  }

  // MARK: - Nearest codes

  /// Rounds a row to the nearest codes of the scales with the least weighted squared error.
  ///
  /// - Parameters:
  ///   - weights: The row.
  ///   - importance: Weight of each column's squared error.
  /// - Returns: Codes and scales.
  package func search(_ weights: [Float], importance: [Float]) -> Row {
    var row = Row(codes: [], scales: [])
    for first in stride(from: 0, to: weights.count, by: group) {
      let values = Array(weights[first..<first + group])
      let scale = scale(values, importance: Array(importance[first..<first + group]))
      row.scales.append(scale)
      row.codes += values.map { code($0 / scale) }
    }
    return row
  }

  // MARK: - Error feedback

  /// Rounds a row, column after column, each error made up for by the columns behind it.
  ///
  /// - Parameters:
  ///   - weights: The row.
  ///   - factor: U with U^T U = H^-1, `[n, n]`.
  ///   - importance: Weight of each column's squared error in the search of scales.
  /// - Returns: Codes and scales.
  package func round(_ weights: [Float], factor: Matrix, importance: [Float]) -> Row {
    var weights = weights
    var row = Row(codes: [], scales: [])
    for column in weights.indices {
      if column % group == 0 {
        let columns = column..<column + group
        row.scales.append(
          scale(Array(weights[columns]), importance: Array(importance[columns])))
      }
      let scale = row.scales[column / group]
      let code = self.code(weights[column] / scale)
      let error = (weights[column] - code * scale) / factor[column, column]
      row.codes.append(code)
      for later in weights.indices.dropFirst(column + 1) {
        weights[later] -= error * factor[column, later]
      }
    }
    return row
  }

  /// The nearest code of a quotient.
  private func code(_ quotient: Float) -> Float {
    Swift.min(Swift.max(quotient, range.minimum), range.maximum).rounded(.toNearestOrEven)
  }

  // MARK: - Scales

  /// The scale of a group with the least weighted squared error among those that are tried.
  ///
  /// As in `ScaleSearch`, coarse scales are judged by what their codes would give with their own best scale, and
  /// the neighbours of the winner's by themselves.
  package func scale(_ values: [Float], importance: [Float]) -> Float {
    let largest = values.map(abs).max() ?? 0
    let signedLargest = values.first { abs($0) == largest } ?? 0
    let rounded = BFloat16(largest / range.halfWidth).floatValue
    let nearest = rounded == 0 ? CodeRange.emptyScale.floatValue : rounded
    var best = (gain: -Float.infinity, scale: nearest)
    consider(nearest, values, importance, &best)

    let base = signedLargest > 0 ? -nearest : nearest
    let (low, high) = (range.triedFactors.lowerBound, range.triedFactors.upperBound)
    var coarse = (gain: Float(-1), scale: base)
    for sign in 0..<2 {
      for step in 0..<Self.triedScales {
        let factor = low + (high - low) * (Float(step) + 0.5) / Float(Self.triedScales)
        let (products, squares) = sums(base * (sign == 1 ? -factor : factor), values, importance)
        guard squares > 0 else { continue }
        let gain = products * products / squares
        if gain > coarse.gain { coarse = (gain, products / squares) }
      }
    }
    let middle = BFloat16(coarse.scale).floatValue
    for step in -2...2 {
      consider(middle * (1 + Float(step) * 0x1p-7), values, importance, &best)
    }
    return best.scale
  }

  /// Keeps a scale, rounded to BF16, if it takes more from the weighted sum of squares.
  private func consider(
    _ scale: Float, _ values: [Float], _ importance: [Float],
    _ best: inout (gain: Float, scale: Float)
  ) {
    let rounded = BFloat16(scale).floatValue
    let scale = rounded == 0 ? best.scale : rounded
    let (products, squares) = sums(scale, values, importance)
    let gain = scale * (products + products - scale * squares)
    if gain > best.gain { best = (gain, scale) }
  }

  /// Sums of importance * value * code and of importance * code^2 for the codes of a scale.
  private func sums(
    _ scale: Float, _ values: [Float], _ importance: [Float]
  ) -> (products: Float, squares: Float) {
    let inverse = 1 / scale
    var (products, squares): (Float, Float) = (0, 0)
    for (value, importance) in zip(values, importance) {
      let code = self.code(value * inverse)
      products += code * importance * value
      squares += code * importance * code
    }
    return (products, squares)
  }

  // MARK: - Coordinate descent

  /// (w - q) H for a row.
  package func gradient(_ row: Row, of weights: [Float], moments: Matrix) -> [Float] {
    var gradient = [Float](repeating: 0, count: weights.count)
    for column in weights.indices {
      let error = row.codes[column] * row.scales[column / group] - weights[column]
      for other in weights.indices { gradient[other] -= error * moments[column, other] }
    }
    return gradient
  }

  /// One pass over the groups: a better scale for each, then better codes one by one.
  ///
  /// - Parameters:
  ///   - row: Brought up to date.
  ///   - gradient: (w - q) H; brought up to date.
  ///   - moments: H, `[n, n]`, with a positive diagonal.
  package func descend(_ row: inout Row, gradient: inout [Float], moments: Matrix) {
    for first in stride(from: 0, to: gradient.count, by: group) {
      let columns = first..<first + group
      let oldScale = row.scales[first / group]
      let scale = betterScale(row, columns, gradient, moments)
      row.scales[first / group] = scale
      var steps = columns.map { row.codes[$0] * scale - row.codes[$0] * oldScale }
      var local = Array(gradient[columns])
      for (step, column) in zip(steps, columns) {
        for other in columns { local[other - first] -= step * moments[column, other] }
      }
      for column in columns {
        let value = row.codes[column] * scale
        let wanted = value + local[column - first] / moments[column, column]
        row.codes[column] = code(wanted / scale)
        let step = row.codes[column] * scale - value
        steps[column - first] += step
        for other in column + 1..<Swift.max(first + group, column + 1) {
          local[other - first] -= step * moments[column, other]
        }
      }
      for (step, column) in zip(steps, columns) {
        for other in gradient.indices { gradient[other] -= step * moments[column, other] }
      }
    }
  }

  /// The best scale of a group for its codes, unless BF16 loses what it gains.
  private func betterScale(
    _ row: Row, _ columns: Range<Int>, _ gradient: [Float], _ moments: Matrix
  ) -> Float {
    let scale = row.scales[columns.lowerBound / group]
    var (products, squares): (Float, Float) = (0, 0)
    for column in columns {
      products += row.codes[column] * gradient[column]
      var sum: Float = 0
      for other in columns { sum += row.codes[other] * moments[column, other] }
      squares += row.codes[column] * sum
    }
    guard squares > 0 else { return scale }
    let better = BFloat16(scale + products / squares).floatValue
    let step = better - scale
    let gain = step * (products + products - step * squares)
    return gain > 0 && better != 0 ? better : scale
  }
}

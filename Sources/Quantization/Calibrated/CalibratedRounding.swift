// SPDX-License-Identifier: Apache-2.0

package import Kernels
package import TensorCore

/// Rounds a matrix against the second moments of its inputs: GPTQ, then coordinate descent.
///
/// 1. Columns are rounded in order, group by group. The scale of a group is searched when it is reached, with
///    the columns as the errors before have left them, and every error is made up for by the columns behind it.
/// 2. Scales and codes are changed one at a time as long as the error falls, for a few passes.
///
/// Rows are independent of each other: panels of sixteen are what threads share. The readable form is
/// `ReferenceRounding`, whose bits are the same.
package struct CalibratedRounding: Sendable {
  /// Passes of coordinate descent.
  package var descentPasses: Int

  package init(descentPasses: Int = 4) {
    self.descentPasses = descentPasses
  }

  /// A matrix that was rounded.
  package struct Result: Sendable {
    /// Codes as `Formats/Kiln.md` stores them.
    package var codes: [UInt8]
    /// `[rows, groups]`.
    package var scales: [BFloat16]
    /// Code times scale, `[rows, columns]`.
    package var values: Matrix
  }

  /// Rounds.
  ///
  /// - Parameters:
  ///   - weights: `[rows, columns]`, finite and of magnitudes whose squares are finite.
  ///   - encoding: An integer encoding that fits the columns.
  ///   - metric: What the inputs say.
  ///   - workers: Threads. The result does not depend on their number.
  ///   - instructions: Which C kernels run; the result is the same for all.
  /// - Returns: Codes and scales, and the values that they stand for.
  package func round(
    _ weights: Matrix, as encoding: TensorEncoding, metric: RoundingMetric, workers: Workers,
    on instructions: InstructionSet = .best
  ) -> Result {
    roundPanels(weights, as: encoding, inputs: metric.dimension, workers: workers) {
      round($0, group: $1, bits: $2, metric: metric, instructions)
    }
  }

  /// Rounds to the nearest codes of the scales whose squared errors, weighted by column, are least.
  ///
  /// - Parameters:
  ///   - weights: `[rows, columns]`, as for `round`.
  ///   - encoding: An integer encoding that fits the columns.
  ///   - importance: Weight of each column's squared error, at least 0, one of them more: the second moment of
  ///     its input.
  ///   - workers: Threads. The result does not depend on their number.
  ///   - instructions: Which C kernels run; the result is the same for all.
  /// - Returns: Codes and scales, and the values that they stand for.
  package func search(
    _ weights: Matrix, as encoding: TensorEncoding, importance: [Float], workers: Workers,
    on instructions: InstructionSet = .best
  ) -> Result {
    roundPanels(weights, as: encoding, inputs: importance.count, workers: workers) {
      Self.search($0, group: $1, bits: $2, importance: importance, instructions)
    }
  }

  /// Rounds panels of sixteen rows on all threads, and puts them together.
  private func roundPanels(
    _ weights: Matrix, as encoding: TensorEncoding, inputs: Int, workers: Workers,
    _ round: @Sendable (_ panel: WeightPanel, _ group: Int, _ bits: Int) -> RoundedPanel
  ) -> Result {
    // Callers decide by the encoding before they come here; no input leads to this.
    guard case .quantized(let bits, _) = encoding else {
      preconditionFailure("\(encoding) is not an integer encoding")
    }
    precondition(
      inputs == weights.columns && encoding.fits(columns: weights.columns),
      "rows of \(weights.columns) as \(encoding)")
    let group = encoding.groupSize(columns: weights.columns)
    let panels = (weights.rows + WeightPanel.rows - 1) / WeightPanel.rows
    let rounded = workers.map(panels) { index in
      round(WeightPanel(weights, first: index * WeightPanel.rows), group, bits)
    }
    return Self.gather(
      rounded, rows: weights.rows, columns: weights.columns, group: group, bits: bits)
  }

  private static func search(
    _ panel: WeightPanel, group: Int, bits: Int, importance: [Float],
    _ instructions: InstructionSet
  ) -> RoundedPanel {
    let range = CodeRange(bits: bits)
    var rounded = RoundedPanel(codes: WeightPanel(columns: panel.columns), scales: [])
    for start in stride(from: 0, to: panel.columns, by: group) {
      let scales = panel.scales(
        of: start..<start + group, importance: importance, bits: bits, on: instructions)
      for column in start..<start + group {
        for row in 0..<WeightPanel.rows {
          rounded.codes[row, column] = Float(range.code(panel[row, column], scale: scales[row]))
        }
      }
      rounded.scales += scales
    }
    return rounded
  }

  /// Codes and scales of sixteen rows, as numbers.
  private struct RoundedPanel: Sendable {
    var codes: WeightPanel
    var scales: [Float]
  }

  private func round(
    _ wanted: WeightPanel, group: Int, bits: Int, metric: RoundingMetric,
    _ instructions: InstructionSet
  ) -> RoundedPanel {
    let groups = wanted.columns / group
    var panel = wanted
    var rounded = RoundedPanel(codes: WeightPanel(columns: wanted.columns), scales: [])
    rounded.scales.reserveCapacity(groups * WeightPanel.rows)
    for index in 0..<groups {
      let columns = index * group..<(index + 1) * group
      let scales = panel.scales(
        of: columns, importance: metric.importance, bits: bits, on: instructions)
      panel.roundWithFeedback(
        columns, factor: metric.factor, scales: scales, bits: bits, codes: &rounded.codes,
        on: instructions)
      rounded.scales += scales
    }
    guard descentPasses > 0 else { return rounded }
    // Codes and scales give Q - W; taking (Q - W) H from nothing leaves the gradient (W - Q) H.
    var errors = wanted
    for column in 0..<wanted.columns {
      for row in 0..<WeightPanel.rows {
        let scale = rounded.scales[column / group * WeightPanel.rows + row]
        errors[row, column] = rounded.codes[row, column] * scale - wanted[row, column]
      }
    }
    var gradient = WeightPanel(columns: wanted.columns)
    gradient.subtract(errors, times: metric.moments, on: instructions)
    for _ in 0..<descentPasses {
      gradient.descend(
        moments: metric.moments, group: group, bits: bits, codes: &rounded.codes,
        scales: &rounded.scales, on: instructions)
    }
    return rounded
  }

  private static func gather(
    _ panels: [RoundedPanel], rows: Int, columns: Int, group: Int, bits: Int
  ) -> Result {
    let groups = columns / group
    let offset = CodeRange(bits: bits).offset
    var codes = [UInt8](repeating: 0, count: rows * columns * bits / 8)
    var scales = [BFloat16](repeating: BFloat16(bitPattern: 0), count: rows * groups)
    var values = Matrix(rows: rows, columns: columns)
    var codeSpan = codes.mutableSpan
    for row in 0..<rows {
      let panel = panels[row / WeightPanel.rows]
      let lane = row % WeightPanel.rows
      for index in 0..<groups {
        scales[row * groups + index] = BFloat16(panel.scales[index * WeightPanel.rows + lane])
      }
      // Rows are whole bytes; what is left of one waits for the next code.
      var next = row * columns * bits / 8
      var (waiting, waitingBits) = (UInt32(0), 0)
      for column in 0..<columns {
        let code = panel.codes[lane, column]
        waiting |= UInt32(truncatingIfNeeded: Int32(code) + offset) << UInt32(waitingBits)
        waitingBits += bits
        if waitingBits >= 8 {
          codeSpan[next] = UInt8(truncatingIfNeeded: waiting)
          next += 1
          waiting >>= 8
          waitingBits -= 8
        }
        values[row, column] = code * panel.scales[column / group * WeightPanel.rows + lane]
      }
    }
    return Result(codes: codes, scales: scales, values: values)
  }
}

// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
package import KimiLinear
package import Quantization
package import TensorCore

/// Schemes for all units of a model that fit a size and lose little.
package struct SchemeAllocation: Sendable {
  /// What a unit gets.
  package struct Row: Sendable {
    package let unit: AllocationUnit
    package let parameterCount: Int
    package let encoding: TensorEncoding
    package let byteCount: Int
    /// KL divergence with the unit alone at `SensitivityScan.measured`, in nats for each token.
    package let measuredLoss: Double
    /// What is expected of the scheme.
    package let expectedLoss: Double
  }

  /// In the order of the computation.
  package let rows: [Row]
  /// Rules that say the same of the parts whose schemes were chosen here.
  package let recipe: Recipe

  /// Elements of a unit from which the errors of schemes are told.
  private static let probeElementCount = 1 << 20

  /// Measures and chooses.
  ///
  /// - Parameters:
  ///   - source: The model.
  ///   - choices: The schemes that its parts can have.
  ///   - sample: Tokens to calibrate with; some of them are those to measure with.
  ///   - known: Losses that were measured before; nil to measure them.
  ///   - bitsPerWeight: What all tensors together may have.
  ///   - method: How weights will be rounded.
  ///   - options: How to run the model.
  ///   - progress: Told how far it is.
  /// - Throws: `CalibrationError`, before anything is measured if the size cannot be reached; what is wrong with a
  ///   compressed block, or `Errno` if there is no memory.
  package init(
    _ source: CheckedCheckpoint, choices: SchemeChoices, sample: CalibrationSample,
    known: UnitSensitivities? = nil, bitsPerWeight: Double, method: RoundingMethod,
    options: Model.Options, progress: @escaping Progress.Handler
  ) throws {
    let limit = try choices.byteLimit(bitsPerWeight)
    let parts = choices.parts
    let sensitivities =
      try known.flatMap { $0.method == method && $0.covers(parts.map(\.unit)) ? $0 : nil }
      ?? UnitSensitivities(
        source, sample: sample, method: method, options: options, progress: progress)
    let losses = sensitivities.losses.map(\.loss)
    var expected: [[BitAllocation.Choice]] = []
    for (index, part) in parts.enumerated() {
      expected.append(try Self.choices(part, loss: max(losses[index], 0)))
      progress(
        Progress(
          activity: "allocate", detail: part.unit.description, completed: index + 1,
          total: parts.count, unit: .parts))
    }
    guard let allocation = BitAllocation(expected, limit: limit) else {
      throw choices.unreachable(bitsPerWeight)
    }
    rows = zip(parts.indices, allocation.choices).map { index, choice in
      Row(
        unit: parts[index].unit, parameterCount: parts[index].parameterCount,
        encoding: choice.encoding, byteCount: choice.byteCount, measuredLoss: losses[index],
        expectedLoss: choice.loss)
    }
    recipe = Self.recipe(
      zip(parts, rows).filter { !$0.0.isFixed }.map { $0.1 }, method: method)
  }

  /// The schemes of a part with what they are expected to lose.
  private static func choices(
    _ part: SchemeChoices.Part, loss: Double
  ) throws -> [BitAllocation.Choice] {
    let probe = try self.probe(part.tensors)
    func error(_ encoding: TensorEncoding) -> Double {
      guard encoding.fits(columns: probe.columns) else { return 0 }
      return squaredError(probe, encoding)
    }
    let measured = error(SensitivityScan.measured)
    return part.options.map { option in
      var expected = 0.0
      if !option.isKept {
        expected = measured > 0 ? loss * error(option.encoding) / measured : loss
      }
      return BitAllocation.Choice(
        encoding: option.encoding, byteCount: option.byteCount, loss: expected)
    }
  }

  /// The first rows of a unit's first matrix.
  private static func probe(_ tensors: [StoredTensor]) throws -> Matrix {
    guard let first = tensors.first else { return Matrix(rows: 0, columns: 0) }
    let tensor = try first.load(workers: Workers(count: 1))
    let rows = min(tensor.shape.rows, max(1, probeElementCount / max(tensor.shape.columns, 1)))
    var probe = Matrix(rows: rows, columns: tensor.shape.columns)
    var span = probe.elements.mutableSpan
    widen(tensor, rows: 0..<rows, into: &span)
    return probe
  }

  private static func squaredError(_ weights: Matrix, _ encoding: TensorEncoding) -> Double {
    guard case .quantized(let bits, _) = encoding else { return 0 }
    let count = weights.elements.count
    var codes = [UInt8](repeating: 0, count: count * bits / 8)
    var scales = [BFloat16](
      repeating: BFloat16(bitPattern: 0),
      count: count / encoding.groupSize(columns: weights.columns))
    var codeSpan = codes.mutableSpan
    var scaleSpan = scales.mutableSpan
    return quantizeRows(
      weights.elements.span, columns: weights.columns, encoding: encoding, method: .search,
      codes: &codeSpan, scales: &scaleSpan
    ).squaredError
  }

  /// Rules for the rows, layers with equal schemes together, outputs before what they are an exception from.
  private static func recipe(_ rows: [Row], method: RoundingMethod) -> Recipe {
    struct Key: Hashable {
      let role: TensorRole
      let output: String?
      let encoding: TensorEncoding
    }
    var rules: [RecipeRule] = []
    var places: [Key: Int] = [:]
    let ordered = rows.filter { $0.unit.output != nil } + rows.filter { $0.unit.output == nil }
    for row in ordered {
      let rule = row.unit.rule(row.encoding)
      let key = Key(role: row.unit.role, output: row.unit.output, encoding: row.encoding)
      if let place = places[key] {
        rules[place].layers = joined(rules[place].layers, rule.layers)
      } else {
        places[key] = rules.count
        rules.append(rule)
      }
    }
    return Recipe(rules: rules, fallback: .source, method: method)
  }

  /// Ranges in which neighbours are one.
  private static func joined(
    _ left: [ClosedRange<Int>], _ right: [ClosedRange<Int>]
  ) -> [ClosedRange<Int>] {
    var joined = left
    for range in right {
      if let last = joined.last, last.upperBound + 1 == range.lowerBound {
        joined[joined.count - 1] = last.lowerBound...range.upperBound
      } else {
        joined.append(range)
      }
    }
    return joined
  }
}

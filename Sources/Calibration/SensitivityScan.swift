// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Glibc
import Kernels
package import KimiLinear
import Quantization
import SystemPackage
package import TensorCore

/// Measures what a model loses when one unit alone is quantized.
///
/// The hidden states between the layers of the original model are kept. A unit is rounded to `int4-g32` with the method
/// that will be used, its layer and all later ones are run from there, and the KL divergence of the predictions is
/// taken over some positions of the second halves of the windows. Other schemes are taken to lose in
/// proportion to their squared error.
package struct SensitivityScan {
  /// The scheme that is measured.
  package static let measured = TensorEncoding.quantized(bits: 4, group: .size(32))
  /// Windows unless something else is asked for: few, since a position says much about every unit.
  package static let defaultWindows = 8

  private let source: CheckedCheckpoint
  private let options: Model.Options
  private let stages: LayerStages
  private let finite: FiniteCheck
  private let sequences: [Range<Int>]
  private let tokens: [Int]
  private let positions: [Int]
  private let work: CalibrationWork

  /// Numbers of logits that are held for the original model, in float32.
  private static let logitCount = 1 << 26

  /// - Parameters:
  ///   - source: The model.
  ///   - sample: The tokens.
  ///   - options: How to run the model.
  package init(_ source: CheckedCheckpoint, sample: CalibrationSample, options: Model.Options) {
    self.source = source
    self.options = options
    stages = LayerStages(source.configuration, options: options)
    finite = FiniteCheck(source)
    tokens = sample.tokens
    let context = max(sample.context, 1)
    sequences = stride(from: 0, to: sample.tokens.count, by: context).map { $0..<$0 + context }
    let later = sequences.flatMap { Array($0.lowerBound + context / 2..<$0.upperBound) }
    let count = max(
      1, min(later.count, Self.logitCount / max(source.configuration.vocabularySize, 1)))
    positions = (0..<min(count, later.count)).map { later[$0 * later.count / count] }
    work = CalibrationWork(source, targets: [:], tokenCount: sample.tokens.count)
  }

  /// Measures all units.
  ///
  /// - Parameters:
  ///   - units: The units of the model, in the order of the computation.
  ///   - quantizer: Rounds them by a calibration text; nil for rounding by search.
  ///   - progress: Told after each layer that was run.
  /// - Returns: The mean KL divergence of each unit, in nats for each token.
  /// - Throws: `CalibrationError.activationsNotFinite` or `.lossNotFinite`; what is wrong with a compressed block, or
  ///   `Errno` if there is no memory.
  func losses(
    of units: [(unit: AllocationUnit, tensors: [StoredTensor])],
    quantizer: SequentialQuantizer?, progress: SensitivityProgress
  ) throws -> [Double] {
    let layers = source.configuration.layers.count
    let forward = work.forward
    let runs = units.map { unit, _ in forward[firstLayer(of: unit)...].reduce(0, +) }
    progress.expect(
      partCount: units.count, work: (forward + runs).reduce(0, +),
      calibration: quantizer?.progressSoFar)
    func run(
      _ hidden: Matrix, from first: Int, to last: Int, _ name: String,
      _ replacements: [ExactString: EncodedTensor] = [:]
    ) throws -> Matrix {
      try (first..<max(first, last)).reduce(hidden) { hidden, layer in
        defer { progress.ran(forward[layer], for: name) }
        return try self.run(hidden, through: layer, replacements)
      }
    }

    var before = [try embedded([:])]
    for layer in 0..<layers {
      before.append(try run(before[layer], from: layer, to: layer + 1, "layer \(layer)"))
      try finite.check(before[layer + 1], "hidden states behind layer \(layer)")
    }
    let original = try logits(before[layers], [:])
    try finite.check(original, "logits")
    var losses: [Double] = []
    for (unit, tensors) in units {
      let rounded = try rounded(tensors, quantizer)
      var hidden: Matrix
      if let layer = unit.layer, (0..<layers).contains(layer) {
        hidden = try run(before[layer], from: layer, to: layer + 1, unit.description, rounded)
        hidden = try run(hidden, from: layer + 1, to: layers, unit.description)
      } else if unit.role == .embedding {
        hidden = try run(embedded(rounded), from: 0, to: layers, unit.description)
      } else {
        hidden = before[layers]
      }
      let loss = divergence(of: try logits(hidden, rounded), from: original)
      guard loss.isFinite else {
        throw CalibrationError.lossNotFinite(
          model: source.checkpoint.path.string, unit: unit.description)
      }
      losses.append(loss)
      progress.finished(unit.description)
    }
    return losses
  }

  /// The first layer that runs anew when a unit alone is rounded.
  private func firstLayer(of unit: AllocationUnit) -> Int {
    let layers = source.configuration.layers.count
    if let layer = unit.layer, (0..<layers).contains(layer) { return layer }
    return unit.role == .embedding ? 0 : layers
  }

  private func rounded(
    _ tensors: [StoredTensor], _ quantizer: SequentialQuantizer?
  ) throws -> [ExactString: EncodedTensor] {
    let rounder = TensorRounder(rounding: CalibratedRounding(), workers: options.workers)
    var rounded: [ExactString: EncodedTensor] = [:]
    for tensor in tensors where Self.measured.fits(columns: tensor.shape.columns) {
      if let quantizer, quantizer.reaches(tensor.name) {
        rounded[tensor.name] = try quantizer.take(tensor.name).tensor
        continue
      }
      rounded[tensor.name] = try rounder.quantize(
        tensor, as: .init(encoding: Self.measured, method: .search),
        knowing: .failure(.notCollected)
      ).tensor
    }
    return rounded
  }

  private func tensor(
    _ name: String, _ replacements: [ExactString: EncodedTensor]
  ) throws -> EncodedTensor {
    let name = ExactString(name)
    if let replacement = replacements[name] { return replacement }
    guard let stored = source.tensors[name] else {
      throw ModelError.missingTensor(
        model: source.checkpoint.path.string, name: name.text, shape: "")
    }
    return try stored.load(workers: options.workers)
  }

  private func embedded(_ replacements: [ExactString: EncodedTensor]) throws -> Matrix {
    rows(of: try tensor("model.embed_tokens.weight", replacements), tokens)
  }

  private func run(
    _ hidden: Matrix, through layer: Int, _ replacements: [ExactString: EncodedTensor]
  ) throws -> Matrix {
    let weights = try ModelWeights.Layer(
      layer, of: source.tensors, replacing: replacements, configuration: source.configuration,
      model: source.checkpoint.path.string, workers: options.workers)
    return stages.run(hidden, through: weights, sequences: sequences)
  }

  /// Logits at the positions, `[positions, vocabulary]`.
  private func logits(
    _ hidden: Matrix, _ replacements: [ExactString: EncodedTensor]
  ) throws -> Matrix {
    let norm = widened(try tensor("model.norm.weight", replacements))
    let name =
      source.configuration.tiesEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"
    return WeightProduct.multiply(
      stages.normalized(hidden.gather(positions, workers: options.workers), weight: norm),
      by: try tensor(name, replacements), workers: options.workers)
  }

  /// The mean over rows of the sum of p (ln p - ln q).
  private func divergence(of logits: Matrix, from original: Matrix) -> Double {
    let rows = options.workers.map(original.rows) { row -> Double in
      let (p, q) = (original.rowSpan(row), logits.rowSpan(row))
      let (largestP, largestQ) = (maximumElement(p), maximumElement(q))
      let sumP = sumOfExponentials(p, minus: largestP)
      let sumQ = sumOfExponentials(q, minus: largestQ)
      let offset = Double(largestQ) - Double(largestP) + log(sumQ) - log(sumP)
      var sum = 0.0
      for column in 0..<p.count {
        let difference = Double(p[column]) - Double(q[column]) + offset
        sum += Double(expf(p[column] - largestP)) / sumP * difference
      }
      return sum
    }
    return rows.isEmpty ? 0 : rows.reduce(0, +) / Double(rows.count)
  }
}

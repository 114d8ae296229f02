// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Glibc
import Kernels
import KimiLinear
import Quantization
import TensorCore
import TestSupport
import Testing

/// What each part loses is the divergence of the model in which that part alone is rounded.
@Suite struct UnitSensitivityTests {
  private static let context = 24
  private static let windows = 3

  /// Logits at the positions of the second halves of the windows, as the model itself computes them.
  private func logits(_ source: CheckedCheckpoint, _ tokens: [Int]) throws -> [[Double]] {
    let model = try Model(source)
    let sequences = (0..<Self.windows).map { $0 * Self.context..<($0 + 1) * Self.context }
    var states = sequences.map { _ in SequenceState(model.configuration) }
    let hidden = try model.run(
      tokens, sequences: sequences, states: &states, options: CalibrationModel.options)
    let logits = model.logits(
      hidden, vocabulary: 0..<model.configuration.vocabularySize,
      workers: CalibrationModel.workers)
    return sequences.flatMap { $0.dropFirst(Self.context / 2) }.map {
      logits.row($0).map { Double($0) }
    }
  }

  /// What codes of 4 bits with groups of 32 stand for, computed as `Formats/Kiln.md` says.
  private static func values(_ stored: (codes: [UInt8], scales: [BFloat16])) -> [Float] {
    stored.codes.flatMap { [Int($0 & 15) - 8, Int($0 >> 4) - 8] }
      .enumerated().map { Float($1) * stored.scales[$0 / 32].floatValue }
  }

  /// The mean over positions of the sum of p (ln p - ln q).
  private func divergence(_ p: [[Double]], _ q: [[Double]]) -> Double {
    func logarithms(_ logits: [Double]) -> [Double] {
      let largest = logits.max() ?? 0
      let sum = log(logits.reduce(0) { $0 + exp($1 - largest) })
      return logits.map { $0 - largest - sum }
    }
    let sums = zip(p, q).map { p, q in
      zip(logarithms(p), logarithms(q)).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
    }
    return sums.reduce(0, +) / Double(sums.count)
  }

  @Test func `losses are divergences from the original, part by part`() throws {
    try TemporaryFolder.with { folder in
      let checkpoint = TinyCheckpoint()
      let plain = try CalibrationModel(checkpoint, in: folder, as: "plain")
      // A head that makes predictions sharp: from the one to the other is not what it is the other way round.
      let sharp = ["lm_head.weight": try plain.elements("lm_head.weight").map { 12 * $0 }]
      let model = try CalibrationModel(checkpoint, changing: sharp, in: folder)
      var random = SeededGenerator(seed: 21)
      let tokens = (0..<Self.windows * Self.context).map { _ in
        Int.random(in: 0..<checkpoint.vocabularySize, using: &random)
      }
      let sample = CalibrationSample(
        tokens, windows: Self.windows, context: Self.context, seed: 0)
      let found = try UnitSensitivities(
        model.source, sample: sample, method: .search, options: CalibrationModel.options,
        progress: { _ in })
      let units = AllocationUnit.all(of: model.source)
      #expect(found.covers(units.map(\.unit)) && found.method == .search)
      #expect(found.coverage.isEmpty)

      let original = try logits(model.source, tokens)
      var isAsymmetric = false
      for (index, (unit, tensors)) in units.enumerated() {
        var changed = sharp
        for stored in tensors {
          let weights = try model.matrix(stored.name.text)
          changed[stored.name.text] = Self.values(
            try roundedAlone(weights, as: CalibrationModel.int4, .search))
        }
        let rounded = try CalibrationModel(
          checkpoint, changing: changed, in: folder, as: "rounded \(index)")
        let logits = try logits(rounded.source, tokens)
        let expected = divergence(original, logits)
        #expect(
          abs(found.losses[index].loss - expected) <= 1e-3 * expected, "\(unit.description)")
        isAsymmetric = isAsymmetric || divergence(logits, original) > 1.1 * expected
      }
      #expect(isAsymmetric)
    }
  }

  @Test func `with a method that goes by tokens, experts are counted over all of them`() throws {
    try TemporaryFolder.with { folder in
      let model = try CalibrationModel(TinyCheckpoint(), in: folder)
      // Twelve windows, of which eight are measured with.
      let tokens = (0..<12 * 16).map { $0 * 37 % 96 }
      let sample = CalibrationSample(tokens, windows: 12, context: 16, seed: 0)
      let found = try UnitSensitivities(
        model.source, sample: sample, method: .gptq, options: CalibrationModel.options,
        progress: { _ in })
      #expect(found.losses.allSatisfy { $0.loss.isFinite && $0.loss > -1e-6 })
      #expect(found.coverage.map(\.layer) == [1, 2])
      for layer in found.coverage { #expect(layer.tokenCounts.reduce(0, +) == 2 * tokens.count) }
      #expect(!found.covers(AllocationUnit.all(of: model.source).map(\.unit).reversed()))
    }
  }
}

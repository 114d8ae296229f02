// SPDX-License-Identifier: Apache-2.0

import Calibration
import Kernels
import KimiLinear
import Quantization
import TensorCore
import TestSupport
import Testing

/// Matrices that are rounded for what they get: the bits of the rounding that was asked for, and of the search
/// where that is not safe.
@Suite struct TensorRounderTests {
  private static let query = "model.layers.0.self_attn.q_proj.weight"
  private static let width = 64

  /// One KDA layer with queries of 128 rows.
  ///
  /// All embeddings are the same, so that what the projections get is known: the weights of the norm before them.
  private func model(
    input: [Float], weights: (inout Matrix) -> Void = { _ in }, in folder: TemporaryFolder
  ) throws -> CalibrationModel {
    let checkpoint = TinyCheckpoint {
      ($0.isLinear, $0.linearHeads, $0.linearHeadDimension) = ([true], 4, 32)
    }
    let plain = try CalibrationModel(checkpoint, in: folder, as: "plain")
    var query = try plain.matrix(Self.query)
    weights(&query)
    return try CalibrationModel(
      checkpoint,
      changing: [
        Self.query: query.elements, "model.layers.0.input_layernorm.weight": input,
        "model.embed_tokens.weight": [Float](
          repeating: 1, count: checkpoint.vocabularySize * checkpoint.hiddenSize),
      ], in: folder)
  }

  private func take(_ model: CalibrationModel, _ method: RoundingMethod) throws -> QuantizedTensor {
    try model.quantizer([Self.query], method: method, tokens: Array(0..<64), context: 32)
      .take(ExactString(Self.query))
  }

  /// The moments of 64 tokens that all have this input.
  private func metric(_ model: CalibrationModel, _ input: [Float]) throws -> RoundingMetric {
    let ones = Matrix(
      rows: 64, columns: Self.width, elements: [Float](repeating: 1, count: 64 * Self.width))
    var moments = SecondMoments(dimension: Self.width)
    moments.add(
      RMSNorm.normalize(
        ones, weight: input, epsilon: model.source.configuration.normEpsilon,
        workers: CalibrationModel.workers), workers: CalibrationModel.workers)
    return try RoundingMetric(moments)
  }

  private func bytes(_ codes: [UInt8], _ scales: [BFloat16]) -> [UInt8] {
    codes + [UInt8](littleEndian: scales)
  }

  /// Four columns that count and a fifth that hardly does: what cannot be made up for by the four goes there, at
  /// some forty times its size.
  private static let steep: [Float] = (0..<width).map {
    (27...30).contains($0) ? 1 : $0 == 31 ? 0.025 : 0
  }

  @Test func `rows that error feedback moves by more than eight scales are rounded alone`() throws {
    try TemporaryFolder.with { folder in
      let model = try model(input: Self.steep, in: folder)
      let weights = try model.matrix(Self.query)
      let found = try take(model, .gptq)
      var expected = CalibratedRounding().round(
        weights, as: CalibrationModel.int4, metric: try metric(model, Self.steep),
        workers: CalibrationModel.workers)
      let alone = try roundedAlone(weights, as: CalibrationModel.int4, .search)
      let strayed = (0..<weights.rows).filter { row in
        (0..<Self.width).contains { column in
          abs(weights[row, column] - expected.values[row, column])
            > 8 * abs(expected.scales[row * 2 + column / 32].floatValue)
        }
      }
      // Enough of them to tell, and not all.
      #expect(strayed.count > 2 && strayed.count < weights.rows / 2, "\(strayed.count)")
      for row in strayed {
        expected.codes.replaceSubrange(
          row * 32..<(row + 1) * 32, with: alone.codes[row * 32..<(row + 1) * 32])
        expected.scales.replaceSubrange(
          row * 2..<(row + 1) * 2, with: alone.scales[row * 2..<(row + 1) * 2])
      }
      #expect(found.bytes == bytes(expected.codes, expected.scales))
      #expect(found.note == "\(strayed.count) rows strayed too far; rounded by search")

      // What is said about it is what is in it.
      let sums = Squares.sums(found.values, weights)
      #expect(abs(found.statistics.squaredError - sums.error) <= 1e-9 * sums.error)
      #expect(abs(found.statistics.squaredNorm - sums.norm) <= 1e-9 * sums.norm)
      #expect(found.statistics.elementCount == weights.elements.count)
      let outputs = Squares.outputError(
        found.values, weights,
        moments: Squares.moments([Self.steep.map { Double($0) }]))
      #expect(abs(try #require(found.outputError).relative - outputs) <= 1e-3 * outputs)
    }
  }

  @Test(arguments: [(0x1p30 as Float, true), (0x1p31, false), (0x1p40, false), (-0x1p40, false)])
  func `a matrix with a huge weight is rounded by search`(
    weight: Float, isCalibrated: Bool
  ) throws {
    try TemporaryFolder.with { folder in
      var random = SeededGenerator(seed: 3)
      let input = random.floats(Self.width, in: 0.5...2)
      let model = try model(input: input, weights: { $0[5, 7] = weight }, in: folder)
      let weights = try model.matrix(Self.query)
      let found = try take(model, .gptq)
      let alone = try roundedAlone(weights, as: CalibrationModel.int4, .search)
      let calibrated = CalibratedRounding().round(
        weights, as: CalibrationModel.int4, metric: try metric(model, input),
        workers: CalibrationModel.workers)
      #expect(bytes(alone.codes, alone.scales) != bytes(calibrated.codes, calibrated.scales))
      #expect(
        found.bytes
          == (isCalibrated
            ? bytes(calibrated.codes, calibrated.scales) : bytes(alone.codes, alone.scales)))
      #expect(found.note.map { $0.hasSuffix("rounded by search") } ?? false == !isCalibrated)
    }
  }

  @Test func `the search goes by the inputs, rounding to nearest by nothing`() throws {
    try TemporaryFolder.with { folder in
      let input = (0..<Self.width).map { $0 % 4 == 0 ? 4 : 0.25 as Float }
      let model = try model(input: input, in: folder)
      let weights = try model.matrix(Self.query)
      let moments = Squares.moments([input.map { Double($0) }])
      let searched = try take(model, .search)
      let expected = CalibratedRounding().search(
        weights, as: CalibrationModel.int4, importance: try metric(model, input).secondMoments,
        workers: CalibrationModel.workers)
      #expect(searched.bytes == bytes(expected.codes, expected.scales))
      let nearest = try take(model, .roundToNearest)
      let alone = try roundedAlone(weights, as: CalibrationModel.int4, .roundToNearest)
      #expect(nearest.bytes == bytes(alone.codes, alone.scales))
      for found in [searched, nearest] {
        #expect(found.note == nil)
        let sums = Squares.sums(found.values, weights)
        #expect(abs(found.statistics.squaredError - sums.error) <= 1e-6 * sums.error)
        let outputs = Squares.outputError(found.values, weights, moments: moments)
        #expect(abs(try #require(found.outputError).relative - outputs) <= 1e-3 * outputs)
      }
    }
  }

  @Test func `an embedding of several parts is rounded by search, row by row`() throws {
    try TemporaryFolder.with { folder in
      // More than the 2^22 elements that are held at a time.
      let checkpoint = TinyCheckpoint {
        ($0.isLinear, $0.vocabularySize, $0.tiesEmbeddings) = ([true], 66_003, true)
      }
      let name = "model.embed_tokens.weight"
      let model = try CalibrationModel(checkpoint, in: folder)
      let weights = try model.matrix(name)
      #expect(weights.elements.count > 1 << 22)
      let found = try model.quantizer([name], method: .gptq, tokens: [1, 2], context: 2)
        .take(ExactString(name))
      let alone = try roundedAlone(weights, as: CalibrationModel.int4, .search)
      #expect(found.bytes == bytes(alone.codes, alone.scales))
      #expect(found.statistics.elementCount == weights.elements.count)
      #expect(found.outputError == nil)
      #expect(found.note == "is looked up and not multiplied with; rounded by search")
    }
  }
}

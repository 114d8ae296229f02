// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import Kernels
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

@Suite struct TensorStatisticsTests {
  private func tensor(
    _ values: [Float], rows: Int, _ folder: TemporaryFolder
  ) throws -> EncodedTensor {
    let path = try folder.write([UInt8](littleEndian: values), as: "values")
    let file = try MappedFile(path)
    let shape = try #require(TensorShape([rows, values.count / rows]))
    return try #require(
      EncodedTensor(
        encoding: .plain(.f32), shape: shape,
        region: MappedRegion(file: file, range: 0..<file.byteCount)))
  }

  private func statistics(
    _ values: [Float], rows: Int = 1, threads: Int = 2
  ) throws -> TensorStatistics {
    try TemporaryFolder.with { folder in
      try #require(
        TensorStatistics(tensor(values, rows: rows, folder), workers: Workers(count: threads)))
    }
  }

  @Test func `figures of a few values`() throws {
    let found = try statistics([-2, 0, 1, 5, .nan, .infinity, -.infinity, 0])
    #expect(found.minimum == -2 && found.maximum == 5 && found.largestMagnitude == 5)
    #expect(found.finiteCount == 5 && found.nanCount == 1 && found.infinityCount == 2)
    #expect(found.zeroCount == 2)
    #expect(abs(found.mean - 0.8) < 1e-12)
    #expect(abs(found.standardDeviation - (26.8 / 5.0).squareRoot()) < 1e-12)
    #expect(found.histogram.reduce(0, +) == 5)
    #expect(found.histogram.last == 1)
  }

  @Test func `one value far away is an outlier`() throws {
    var values = (0..<9999).map { Float($0 % 7) - 3 }
    values.append(100)
    let found = try statistics(values)
    #expect(found.outlierCount == 1)
    #expect(abs(found.outlierShare - 1e-4) < 1e-12)
  }

  @Test func `a constant is nowhere far from its mean, and six deviations are not beyond them`()
    throws
  {
    let constant = try statistics([Float](repeating: 0.5, count: 100))
    #expect(constant.standardDeviation == 0 && constant.mean == 0.5 && constant.outlierCount == 0)
    #expect(constant.outlierShare == 0)
    // 36 zeros and one 37: the mean is 1, the variance (36 + 36 * 36) / 37, which is 36.
    let border = [Float](repeating: 0, count: 36) + [37]
    let found = try statistics(border)
    #expect(found.mean == 1 && found.standardDeviation == 6 && found.outlierCount == 0)
    let beyond = try statistics([Float](repeating: 0, count: 37) + [38])
    #expect(beyond.mean == 1 && beyond.outlierCount == 1)
    #expect(abs(beyond.outlierShare - 1.0 / 38) < 1e-15)
  }

  @Test func `bars of the histogram are equal parts from the negative to the positive extreme`()
    throws
  {
    // The largest magnitude is 12, so a bar is one wide: -12 is in bar 0, 0 in bar 12, 12 in the last.
    let found = try statistics([-12, -11.5, -11, -0.25, 0, 0.5, 1, 11.5, 12, .nan, .infinity])
    var expected = [Int](repeating: 0, count: 24)
    for (bar, count) in [(0, 2), (1, 1), (11, 1), (12, 2), (13, 1), (23, 2)] {
      expected[bar] = count
    }
    #expect(found.histogram == expected)
    // Zeros have no extremes: they are in the middle.
    let zeros = try statistics([0, -0.0, 0])
    #expect(zeros.histogram[12] == 3 && zeros.histogram.reduce(0, +) == 3)
    #expect(zeros.zeroCount == 3 && zeros.minimum == 0 && zeros.maximum == 0)
  }

  /// A block has a million elements, so these rows are blocks of their own.
  @Test func `rows of different means: what is between blocks counts as well`() throws {
    let length = 1 << 20
    func row(_ value: Float) -> [Float] { [Float](repeating: value, count: length) }
    let two = try statistics(row(-1) + row(1), rows: 2)
    #expect(two.mean == 0 && two.standardDeviation == 1 && two.finiteCount == 2 * length)
    #expect(two.minimum == -1 && two.maximum == 1 && two.outlierCount == 0)
    #expect(two.histogram.first == length && two.histogram.last == length)
    // Means of 1, 2 and 6, the last row half as long: (1 + 2 + 3) / 2.5.
    let half =
      [Float](repeating: 6, count: length / 2) + [Float](repeating: .nan, count: length / 2)
    for threads in [1, 5] {
      let three = try statistics(row(1) + row(2) + half, rows: 3, threads: threads)
      #expect(three.nanCount == length / 2 && three.finiteCount == 5 * length / 2)
      #expect(abs(three.mean - 2.4) < 1e-12)
      // (1.4^2 + 0.4^2 + 3.6^2 / 2) / 2.5.
      #expect(abs(three.standardDeviation - (3.44).squareRoot()) < 1e-12)
    }
  }

  @Test func `types that are not computed with have no statistics`() throws {
    try TemporaryFolder.with { folder in
      let file = try MappedFile(folder.write([1, 2, 3] as [UInt8], as: "bytes"))
      let shape = try #require(TensorShape([3]))
      let tensor = try #require(
        EncodedTensor(
          encoding: .plain(.u8), shape: shape, region: MappedRegion(file: file, range: 0..<3)))
      #expect(TensorStatistics(tensor, workers: Workers(count: 1)) == nil)
    }
  }

  @Test func `nothing but odd values, and nothing at all`() throws {
    let odd = try statistics([.nan, .infinity])
    #expect(odd.finiteCount == 0 && odd.largestMagnitude == 0 && odd.outlierShare == 0)
    #expect(odd.histogram.allSatisfy { $0 == 0 } && odd.nanCount == 1 && odd.infinityCount == 1)
    #expect(try statistics([]).finiteCount == 0)
  }

  @Test func `active parameters leave out experts that are not chosen`() throws {
    let summary = ModelSummary(try CheckedCheckpoint(Checkpoint(Fixtures.nano)))
    // 3 layers of 8 experts of 3 * 256 * 128, of which a token goes to 2; one row of the embedding.
    #expect(summary.total.parameterCount == 5_240_100)
    #expect(
      summary.activeParameterCount == 5_240_100 - 3 * 6 * 3 * 256 * 128 - (2048 - 1) * 256)
    #expect(summary.cacheNumbersPerToken == 64 + 32)
    #expect(summary.stateNumbersPerSequence == 3 * (4 * 64 * 64 + 3 * 256 * 3))
  }
}

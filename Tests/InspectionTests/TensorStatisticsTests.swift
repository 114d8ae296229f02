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
  private func tensor(_ values: [Float], _ folder: TemporaryFolder) throws -> EncodedTensor {
    let path = try folder.write([UInt8](littleEndian: values), as: "values")
    let file = try MappedFile(path)
    let shape = try #require(TensorShape([values.count]))
    return try #require(
      EncodedTensor(
        encoding: .plain(.f32), shape: shape,
        region: MappedRegion(file: file, range: 0..<file.byteCount)))
  }

  private func statistics(_ values: [Float]) throws -> TensorStatistics {
    try TemporaryFolder.with { folder in
      try #require(TensorStatistics(tensor(values, folder), workers: Workers(count: 2)))
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

  @Test func `nothing but odd values, and nothing at all`() throws {
    let odd = try statistics([.nan, .infinity])
    #expect(odd.finiteCount == 0 && odd.largestMagnitude == 0 && odd.outlierShare == 0)
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

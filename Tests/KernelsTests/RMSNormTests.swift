// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// Root-mean-square norms of whole rows, of parts of them, and on the way to a product.
@Suite struct RMSNormTests {
  private static let epsilon: Float = 1e-5

  /// The definition in double precision.
  private func expected(_ row: ArraySlice<Float>, _ weight: [Float]) -> [Float] {
    let squares = row.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(row.count)
    let factor = 1 / (squares + Double(Self.epsilon)).squareRoot()
    return zip(row, weight).map { Float(Double($0) * factor * Double($1)) }
  }

  @Test func `four numbers by hand`() {
    // The mean of squares is 1.75, and 2 with an epsilon of a quarter.
    let norm = RMSNorm.normalize(
      Matrix(rows: 1, columns: 4, elements: [1, -1, 1, 2]), weight: [1, 2, 0, 4], epsilon: 0.25,
      workers: Workers(count: 1))
    let root = Float(2).squareRoot()
    #expect(relativeError(norm.elements, [1 / root, -2 / root, 0, 8 / root]) < 1e-7)
  }

  /// Numbers for which epsilon counts, and ordinary ones.
  @Test(arguments: [1e-3, 1] as [Float], [1, 7, 96])
  func `rows, columns and packed rows are their formula`(size: Float, columns: Int) throws {
    var random = SeededGenerator(seed: 91)
    // More rows than one thread takes at a time.
    let input = Matrix(
      rows: 70, columns: columns, elements: random.floats(70 * columns, in: -size...size))
    let weight = random.floats(columns, in: -2...2)
    let rows = (0..<70).map { input.row($0)[...] }
    let workers = Workers(count: 3)
    let norm = RMSNorm.normalize(input, weight: weight, epsilon: Self.epsilon, workers: workers)
    #expect(relativeError(norm.elements, rows.flatMap { expected($0, weight) }) < 1e-6)

    // A product reads the same norms from packed rows.
    let matrix = try EncodedTensor.random(.plain(.f32), rows: 5, columns: columns, using: &random)
    let packed = RMSNorm.pack(input, weight: weight, epsilon: Self.epsilon, workers: workers)
    #expect(
      WeightProduct.multiply(packed, by: matrix, workers: workers)
        == WeightProduct.multiply(norm, by: matrix, workers: workers))

    guard columns > 2 else { return }
    var part = input
    let range = 1..<columns - 1
    RMSNorm.normalize(
      &part, columns: range, weight: Array(weight[range]), epsilon: Self.epsilon, workers: workers)
    let kept = rows.flatMap { row in
      [row[0]] + expected(row[range], Array(weight[range])) + [row[columns - 1]]
    }
    #expect(relativeError(part.elements, kept) < 1e-6)
    #expect((0..<70).allSatisfy { part[$0, 0] == input[$0, 0] })
  }
}

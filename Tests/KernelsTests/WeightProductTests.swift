// SPDX-License-Identifier: Apache-2.0

import Kernels
import Synchronization
import TensorCore
import TestSupport
import Testing

/// Products with stored weights against the definition.
@Suite struct WeightProductTests {
  static let encodings: [TensorEncoding] =
    [.plain(.bf16), .plain(.f16), .plain(.f32)]
    + TensorEncoding.codeWidths.flatMap { bits in
      [.size(32), .size(64), .size(128), .row].map { .quantized(bits: bits, group: $0) }
    }

  /// N, in, out: around the sizes of strips, panels, blocks and items.
  static let shapes = [
    (1, 128, 1), (2, 128, 16), (3, 256, 17), (5, 128, 31), (6, 128, 32), (7, 128, 33),
    (11, 256, 65), (12, 128, 48), (13, 384, 100), (25, 128, 129), (64, 640, 300), (0, 128, 5),
  ]

  private func randomMatrix(
    _ rows: Int, _ columns: Int, _ generator: inout SeededGenerator
  ) -> Matrix {
    Matrix(
      rows: rows, columns: columns, elements: generator.floats(rows * columns, in: -1...1))
  }

  private func reference(_ input: Matrix, _ weight: EncodedTensor) -> Matrix {
    referenceProduct(
      input,
      byTransposed: Matrix(
        rows: weight.shape.rows, columns: weight.shape.columns, elements: widened(weight)))
  }

  /// Bit for bit where there are fused instructions; where each step rounds twice, within rounding, which is more
  /// of a single product whose terms cancel.
  private func agree(_ found: Matrix, _ expected: Matrix, on set: InstructionSet) -> Bool {
    guard found.rows == expected.rows, found.columns == expected.columns else { return false }
    return set == .portable
      ? relativeError(found.elements, expected.elements) < (found.elements.count == 1 ? 1e-5 : 1e-6)
      : sameBits(found.elements, expected.elements)
  }

  @Test(arguments: encodings)
  func `products are chains of fused multiply-adds`(encoding: TensorEncoding) throws {
    var generator = SeededGenerator()
    for (rows, inner, outer) in Self.shapes {
      let weight = try EncodedTensor.random(
        encoding, rows: outer, columns: inner, using: &generator)
      let input = randomMatrix(rows, inner, &generator)
      let expected = reference(input, weight)
      for set in InstructionSet.available {
        let packed = PackedRows(input, workers: Workers(count: 2), on: set)
        let found = WeightProduct.multiply(packed, by: weight, workers: Workers(count: 2))
        let isSame = agree(found, expected, on: set)
        #expect(isSame, "\(rows) x \(inner) x \(outer) on \(set)")
      }
    }
  }

  @Test(arguments: [1, 3, 15, 17, 30, 47, 80, 160, 200, 288])
  func `rows of any length`(inner: Int) throws {
    var generator = SeededGenerator()
    for encoding: TensorEncoding in [
      .plain(.bf16), .plain(.f16), .plain(.f32), .quantized(bits: 8, group: .row),
      .quantized(bits: 4, group: .row), .quantized(bits: 8, group: .size(32)),
      .quantized(bits: 4, group: .size(32)), .quantized(bits: 8, group: .size(16)),
      .quantized(bits: 4, group: .size(48)),
    ] where encoding.fits(columns: inner) {
      let weight = try EncodedTensor.random(encoding, rows: 37, columns: inner, using: &generator)
      let input = randomMatrix(14, inner, &generator)
      let expected = reference(input, weight)
      for set in InstructionSet.available {
        let packed = PackedRows(input, workers: Workers(count: 1), on: set)
        let found = WeightProduct.multiply(packed, by: weight, workers: Workers(count: 1))
        let isSame = agree(found, expected, on: set)
        #expect(isSame, "\(encoding) on \(set)")
      }
    }
  }

  @Test func `a row is the same alone, in any batch and for any number of threads`() throws {
    var generator = SeededGenerator()
    let weight = try EncodedTensor.random(
      .quantized(bits: 4, group: .size(32)), rows: 300, columns: 640, using: &generator)
    let input = randomMatrix(40, 640, &generator)
    let whole = WeightProduct.multiply(input, by: weight, workers: Workers(count: 1))
    for threads in [2, 5] {
      #expect(WeightProduct.multiply(input, by: weight, workers: Workers(count: threads)) == whole)
    }
    for row in [0, 13, 39] {
      let alone = input.gather([row], workers: Workers(count: 1))
      let found = WeightProduct.multiply(alone, by: weight, workers: Workers(count: 2))
      #expect(found.row(0) == whole.row(row))
    }
    let some = WeightProduct.multiply(input, by: weight, rows: 37..<111, workers: Workers(count: 2))
    #expect((0..<40).allSatisfy { some.row($0) == Array(whole.row($0)[37..<111]) })
  }

  @Test func `several products at once are those products`() throws {
    var generator = SeededGenerator()
    let weights = try [(3, TensorEncoding.plain(.bf16)), (200, .plain(.f32)), (64, .plain(.f16))]
      .map { try EncodedTensor.random($1, rows: $0, columns: 96, using: &generator) }
    let input = randomMatrix(33, 96, &generator)
    let packed = PackedRows(input, workers: Workers(count: 2))
    let together = WeightProduct.multiply(packed, by: weights, workers: Workers(count: 2))
    for (weight, found) in zip(weights, together) {
      #expect(WeightProduct.multiply(input, by: weight, workers: Workers(count: 1)) == found)
    }
    // Added to what is there, after the sum is complete.
    let before = randomMatrix(33, 200, &generator)
    var after = before
    WeightProduct.add(packed, by: weights[1], to: &after, workers: Workers(count: 2))
    let expected = zip(before.elements, together[1].elements).map { $0 + $1 }
    #expect(after.elements == expected)
  }

  @Test func `what is done with a product sees every element once, rows in order`() throws {
    var generator = SeededGenerator()
    // More tokens than share one widening otherwise, more rows than a block has.
    let input = randomMatrix(1100, 256, &generator)
    let weight = try EncodedTensor.random(.plain(.bf16), rows: 300, columns: 256, using: &generator)
    let packed = PackedRows(input, workers: Workers(count: 2))
    let plain = WeightProduct.multiply(packed, by: weight, workers: Workers(count: 2))
    let next = Mutex([Int](repeating: 0, count: 300))
    let term = PlannedProduct(packed, by: weight) { product, rows, columns in
      next.withLock { next in
        for column in columns {
          if next[column] != rows.lowerBound { next[column] = -2000 }
          next[column] += rows.count
        }
      }
      for row in rows {
        product.withRow(row, columns: columns) { elements in
          for index in 0..<elements.count { elements[index] = 1 - 2 * elements[index] }
        }
      }
    }
    let both = WeightProduct.multiply(
      [term, PlannedProduct(packed, by: weight)], workers: Workers(count: 3))
    #expect(both[0].elements == plain.elements.map { 1 - 2 * $0 })
    #expect(both[1] == plain)
    #expect(next.withLock { $0 } == [Int](repeating: 1100, count: 300))
  }

  @Test func `log-probabilities are those of a softmax in double precision`() throws {
    var generator = SeededGenerator()
    // The last has more tokens than share one widening, and more rows than a block.
    for (rows, outer, inner) in [(1, 1, 128), (5, 100, 128), (29, 1000, 128), (1100, 300, 16)] {
      let weight = try EncodedTensor.random(
        .plain(.bf16), rows: outer, columns: inner, using: &generator)
      let input = randomMatrix(rows, inner, &generator)
      let targets = (0..<rows).map { _ in Int.random(in: 0..<outer, using: &generator) }
      let products = reference(input, weight)
      let found = ProductLogSumExp.logProbabilities(
        of: targets, input: PackedRows(input, workers: Workers(count: 2)), weight: weight,
        workers: Workers(count: 3))
      for (row, target) in targets.enumerated() {
        let expected = Double(products[row, target]) - logSumExp(products.rowSpan(row))
        #expect(abs(found[row] - expected) < 1e-5)
      }
    }
  }
  @Test func `a target that is no row has probability 0`() throws {
    var generator = SeededGenerator()
    let weight = try EncodedTensor.random(.plain(.bf16), rows: 5, columns: 16, using: &generator)
    let found = ProductLogSumExp.logProbabilities(
      of: [4, 5, -1],
      input: PackedRows(randomMatrix(3, 16, &generator), workers: Workers(count: 1)),
      weight: weight, workers: Workers(count: 2))
    #expect(found[0].isFinite && found[0] < 0)
    #expect(found[1] == -.infinity && found[2] == -.infinity)
  }
}

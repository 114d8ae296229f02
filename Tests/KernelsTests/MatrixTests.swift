// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// Products, copies and sums of matrices in memory.
@Suite struct MatrixTests {
  private func matrix(_ rows: Int, _ columns: Int, _ random: inout SeededGenerator) -> Matrix {
    Matrix(rows: rows, columns: columns, elements: random.floats(rows * columns, in: -1...1))
  }

  /// Elements that a function of row and column gives, in double precision.
  private func isClose(
    _ found: Matrix, _ rows: Int, _ columns: Int, _ element: (Int, Int) -> Double
  ) -> Bool {
    let expected = (0..<rows * columns).map { Float(element($0 / columns, $0 % columns)) }
    return found.rows == rows && found.columns == columns
      && relativeError(found.elements, expected) < 1e-6
  }

  @Test(arguments: [(1, 1, 1), (3, 5, 2), (13, 40, 37), (30, 129, 70), (2, 300, 17)])
  func `products on one thread are their sums`(rows: Int, inner: Int, columns: Int) {
    var random = SeededGenerator(seed: 81)
    let left = matrix(rows, inner, &random)
    let (right, transposed) = (matrix(inner, columns, &random), matrix(columns, inner, &random))
    func sum(_ row: Int, _ term: (Int) -> Float) -> Double {
      (0..<inner).reduce(0) { $0 + Double(left[row, $1]) * Double(term($1)) }
    }
    for set in InstructionSet.available {
      let plain = left.multiplied(by: right, on: set)
      #expect(isClose(plain, rows, columns) { row, column in sum(row) { right[$0, column] } })
      let scaled = left.multiplied(byTransposed: transposed, alpha: -0.25, on: set)
      #expect(
        isClose(scaled, rows, columns) { row, column in
          -0.25 * sum(row) { transposed[column, $0] }
        }, "\(set)")
    }
  }

  @Test func `a part of a product with a transposed matrix`() {
    var random = SeededGenerator(seed: 82)
    let (left, right) = (matrix(21, 9, &random), matrix(21, 7, &random))
    let part = left.product(transposing: 2..<8, of: right, columns: 3..<5)
    #expect(
      isClose(part, 6, 2) { row, column in
        (0..<21).reduce(0) { $0 + Double(left[$1, row + 2]) * Double(right[$1, column + 3]) }
      })
    let empty = Matrix(rows: 0, columns: 9)
    #expect(
      empty.product(transposing: 0..<2, of: Matrix(rows: 0, columns: 3), columns: 1..<3)
        == Matrix(rows: 2, columns: 2))
  }

  @Test func `rows and blocks are copies, sums are element by element`() {
    let workers = Workers(count: 3)
    let whole = Matrix(rows: 150, columns: 3, elements: (0..<450).map { Float($0) })
    #expect(whole.row(149) == [447, 448, 449])
    #expect(whole.block(rows: 1..<3, columns: 1..<3).elements == [4, 5, 7, 8])
    #expect(
      whole.gather([149, 0, 149], workers: workers).elements == [
        447, 448, 449, 0, 1, 2, 447, 448, 449,
      ])
    var sum = whole
    sum.add(whole, workers: workers)
    #expect(sum.elements == whole.elements.map { 2 * $0 })
    sum.subtract(whole)
    sum.subtract(whole)
    #expect(sum == Matrix(rows: 150, columns: 3))
    var numbered = whole
    numbered.forEachRow(workers: workers) { row, elements in elements[2] = Float(-row) }
    #expect(numbered.elements[447...] == [447, 448, -149])
  }

  @Test func `stored rows are looked up in the order given`() throws {
    var random = SeededGenerator(seed: 83)
    let stored = try EncodedTensor.random(
      .quantized(bits: 4, group: .size(32)), rows: 5, columns: 64, using: &random)
    let all = widened(stored)
    let found = rows(of: stored, [4, 1, 4], workers: Workers(count: 2))
    #expect(found.elements == Array(all[256..<320]) + Array(all[64..<128]) + Array(all[256..<320]))
  }

  @Test
  func `floats that threads share begin as zeros, and none are had for sizes that do not exist`()
    throws
  {
    #expect(SharedFloats(count: -1) == nil && SharedFloats(count: Int.max) == nil)
    #expect(try #require(SharedFloats(count: 0)).count == 0)
    let floats = try #require(SharedFloats(count: 1000))
    #expect([Float](copying: floats.span(0..<1000)).allSatisfy { $0 == 0 })
    floats.withMutable(10..<12) { $0[1] = 3 }
    floats[999] = 4
    #expect(floats[10] == 0 && floats[11] == 3 && floats.span(998..<1000)[1] == 4)
  }

  @Test func `work that only reaches a limit of the machine is done all the same`() {
    var random = SeededGenerator(seed: 84)
    let workers = Workers(count: 3)
    // Each of three workers reads its part of the first ten numbers twice.
    let values = (0..<20).map { Float($0 < 10 ? $0 : 1000) }
    #expect(MachineLimits.read(values, count: 10, passes: 2, workers: workers) == 90)
    let (left, right) = (matrix(6, 6, &random), matrix(6, 6, &random))
    var products = Matrix(rows: 18, columns: 6)
    MachineLimits.multiply(left, right, into: &products, workers: workers)
    #expect(
      isClose(products, 18, 6) { row, column in
        (0..<6).reduce(0) { $0 + Double(left[row % 6, $1]) * Double(right[$1, column]) }
      })
    var copy = Matrix(rows: 6, columns: 6)
    MachineLimits.copy(left, to: &copy, workers: workers)
    #expect(copy == left)
  }
}

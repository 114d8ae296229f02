// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import TensorCore
import TestSupport
import Testing

struct GatedNormTests {
  @Test(arguments: [1, 15, 16, 37, 128], [1, 3])
  func isItsFormula(width: Int, heads: Int) {
    var generator = SeededGenerator()
    let (rows, columns) = (5, heads * width)
    let input = Matrix(
      rows: rows, columns: columns, elements: generator.floats(rows * columns, in: -3...3))
    let gate = Matrix(
      rows: rows, columns: columns, elements: generator.floats(rows * columns, in: -9...9))
    let weight = generator.floats(width, in: -2...2)
    func result(_ set: InstructionSet, threads: Int = 1) -> Matrix {
      var output = input
      output.forEachRow(workers: Workers(count: threads)) { row, elements in
        gatedHeadNorm(
          &elements, gate: gate.rowSpan(row), weight: weight, epsilon: 1e-5, on: set)
      }
      return output
    }
    let output = result(.best)
    for row in 0..<rows {
      for head in 0..<heads {
        let channels = head * width..<(head + 1) * width
        let squares = channels.map { Double(input[row, $0]) * Double(input[row, $0]) }
        let factor = 1 / (squares.reduce(0, +) / Double(width) + 1e-5).squareRoot()
        for (channel, factorOfChannel) in zip(channels, weight) {
          let sigmoid = 1 / (1 + exp(-Double(gate[row, channel])))
          let expected = Double(input[row, channel]) * factor * Double(factorOfChannel) * sigmoid
          #expect(abs(Double(output[row, channel]) - expected) <= abs(expected) * 1e-6)
        }
      }
    }
    for set in InstructionSet.available {
      let other = result(set, threads: 2).elements
      #expect(
        set.hasBitsOfTheBest
          ? sameBits(other, output.elements) : relativeError(other, output.elements) < 3e-7,
        "\(set)")
    }
  }
}

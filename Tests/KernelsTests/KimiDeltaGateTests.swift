// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import TensorCore
import TestSupport
import Testing

struct KimiDeltaGateTests {
  @Test func logDecayIsItsFormula() {
    var generator = SeededGenerator()
    let shape = KimiDeltaShape(heads: 3, keyDimension: 21, valueDimension: 1)
    let columns = 63
    let input = Matrix(rows: 9, columns: columns, elements: generator.floats(567, in: -60...60))
    // One more than there are heads: padding that a successor's checkpoints have.
    let rates = generator.floats(4, in: -3...3)
    let bias = generator.floats(columns, in: -8...8)
    let decay = KimiDeltaLogDecay(rateLogarithms: rates, bias: bias, shape: shape)
    // In one piece, and in pieces that begin and end inside of heads.
    for cuts in [[0, columns], [0, 1, 16, 21, 40, columns]] {
      var output = input
      output.withSharedRows { output in
        for (first, end) in zip(cuts, cuts.dropFirst()) {
          decay.apply(to: output, rows: 0..<9, columns: first..<end)
        }
      }
      for row in 0..<9 {
        for column in 0..<columns {
          let x = Double(input[row, column] + bias[column])
          let expected = -exp(Double(rates[column / 21])) * (max(x, 0) + log1p(exp(-abs(x))))
          #expect(abs(Double(output[row, column]) - expected) <= abs(expected) * 8e-7)
        }
      }
    }
  }
}

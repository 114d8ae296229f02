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
    for threads in [1, 3] {
      var decay = input
      kimiDeltaLogDecay(
        &decay, rateLogarithms: rates, bias: bias, shape: shape, workers: Workers(count: threads))
      for row in 0..<9 {
        for column in 0..<columns {
          let x = Double(input[row, column] + bias[column])
          let expected = -exp(Double(rates[column / 21])) * (max(x, 0) + log1p(exp(-abs(x))))
          #expect(abs(Double(decay[row, column]) - expected) <= abs(expected) * 8e-7)
        }
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernels
import TestSupport
import Testing

/// Accuracy of elementwise functions, against double precision.
struct ActivationTests {
  /// Numbers from the whole range of float32 and from where the functions are interesting.
  static let arguments: [Float] = {
    var generator = SeededGenerator(seed: 1)
    let patterns = (0..<60_000).map { _ in
      Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &generator))
    }.filter { !$0.isNaN }
    let special: [Float] = [
      0, -0.0, 1, -1, 88.72, 88.73, 89, -87.3, -87.4, -103.2, -103.9, -104, -104.1, -200,
      .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .greatestFiniteMagnitude,
      -.greatestFiniteMagnitude, .infinity, -.infinity, 16.6, 17.4, -16.6, 0.34657, -0.34657,
    ]
    return patterns + special + generator.floats(120_000, in: -105...90)
      + generator.floats(60_000, in: -2...2)
  }()

  /// The largest distance of `function` from `expected` in units of the last place of a float.
  private func worstDistance(
    _ arguments: [Float], of function: (inout MutableSpan<Float>) -> Void,
    expected: (Double) -> Double
  ) -> Double {
    var results = arguments
    var span = results.mutableSpan
    function(&span)
    var worst = 0.0
    for (argument, result) in zip(arguments, results) {
      let exact = expected(Double(argument))
      let rounded = Float(exact)
      if rounded.isInfinite || result.isInfinite || exact.isNaN {
        // The largest float may be missed by one: infinite and finite neighbours are one ulp apart.
        let isNear = rounded == result || abs(exact) > 0.999_999 * 0x1p128
        if !isNear { worst = .infinity }
        continue
      }
      let unit = Double(max(rounded.magnitude, .leastNormalMagnitude).ulp)
      worst = max(worst, abs(Double(result) - exact) / unit)
      if result.isNaN { worst = .infinity }
    }
    return worst
  }

  @Test(arguments: InstructionSet.available)
  func exponentialIsWithinOneUnit(set: InstructionSet) {
    #expect(worstDistance(Self.arguments, of: { exponential(&$0, on: set) }, expected: exp) <= 1)
  }

  @Test(arguments: InstructionSet.available)
  func exponentialOfExtremes(set: InstructionSet) {
    #expect(exponential(-.infinity, on: set) == 0)
    #expect(exponential(-200, on: set) == 0)
    #expect(exponential(-104, on: set) == 0)
    #expect(exponential(-103, on: set) == .leastNonzeroMagnitude)
    #expect(exponential(0, on: set) == 1)
    #expect(exponential(-0.0, on: set) == 1)
    #expect(exponential(88.8, on: set) == .infinity)
    #expect(exponential(.infinity, on: set) == .infinity)
    #expect(exponential(.nan, on: set).isNaN)
    #expect(exponential(88.7, on: set).isFinite)
  }

  @Test(arguments: InstructionSet.available)
  func sigmoidKeepsRelativeAccuracyOnBothSides(set: InstructionSet) {
    let worst = worstDistance(
      Self.arguments, of: { sigmoid(&$0, on: set) }, expected: { 1 / (1 + exp(-$0)) })
    #expect(worst <= 3)
    #expect(sigmoid(.infinity, on: set) == 1)
    #expect(sigmoid(-.infinity, on: set) == 0)
    #expect(sigmoid(0, on: set) == 0.5)
    #expect(sigmoid(.nan, on: set).isNaN)
  }

  @Test(arguments: InstructionSet.available)
  func siluIsWithinFourUnits(set: InstructionSet) {
    // Below -87 the sigmoid is subnormal and has few digits; the product is tiny anyway.
    let finite = Self.arguments.filter { $0.isFinite && $0 > -87 }
    let worst = worstDistance(
      finite, of: { silu(&$0, on: set) }, expected: { $0 / (1 + exp(-$0)) })
    #expect(worst <= 4)
    var small: [Float] = [-95, -200]
    var span = small.mutableSpan
    silu(&span, on: set)
    #expect(abs(small[0]) < 1e-38 && small[1] == 0)
  }

  @Test(arguments: InstructionSet.available)
  func softplusIsAccurateEverywhere(set: InstructionSet) {
    let worst = worstDistance(
      Self.arguments, of: { softplus(&$0, on: set) },
      expected: { max($0, 0) + log1p(exp(-abs($0))) })
    #expect(worst <= 4)
    var values: [Float] = [.infinity, -.infinity, .nan, 1e30]
    var span = values.mutableSpan
    softplus(&span, on: set)
    #expect(values[0] == .infinity && values[1] == 0 && values[2].isNaN && values[3] == 1e30)
  }

  @Test func gatesMultiply() {
    var generator = SeededGenerator()
    let (gate, other) = (generator.floats(37, in: -9...9), generator.floats(37, in: -9...9))
    var product = gate
    var span = product.mutableSpan
    siluMultiply(&span, by: other.span)
    var gated = other
    span = gated.mutableSpan
    sigmoidMultiply(&span, gate: gate.span)
    for index in gate.indices {
      let expected = Double(other[index]) / (1 + exp(-Double(gate[index])))
      #expect(abs(Double(gated[index]) - expected) <= abs(expected) * 5e-7)
      let withGate = expected * Double(gate[index])
      #expect(abs(Double(product[index]) - withGate) <= abs(withGate) * 5e-7)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

/// Every instruction set gives the bits of the portable one, at any length and alignment; where there are
/// exponentials, sets with fused multiply-adds give the same bits, and the portable one nearly those.
struct InstructionSetTests {
  static let lengths = [0, 1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 257, 1000]
  static let sets = InstructionSet.available.filter { $0 != .portable }

  typealias Change = @Sendable (inout MutableSpan<Float>, Span<Float>, InstructionSet) -> Void
  typealias Reduction = @Sendable (Span<Float>, Span<Float>, InstructionSet) -> Double

  static let changes: [(name: String, change: Change)] = [
    ("add", { x, y, set in add(y, to: &x, on: set) }),
    ("addScaled", { x, y, set in add(y, times: 1.7, to: &x, on: set) }),
    ("multiply", { x, y, set in multiply(&x, by: y, on: set) }),
    ("scale", { x, _, set in scale(&x, by: 0.3, on: set) }),
  ]
  static let exponentialChanges: [(name: String, change: Change)] = [
    ("exponential", { x, _, set in exponential(&x, on: set) }),
    ("sigmoid", { x, _, set in sigmoid(&x, on: set) }),
    ("silu", { x, _, set in silu(&x, on: set) }),
    ("siluMultiply", { x, y, set in siluMultiply(&x, by: y, on: set) }),
    ("sigmoidMultiply", { x, y, set in sigmoidMultiply(&x, gate: y, on: set) }),
    ("softplus", { x, _, set in softplus(&x, on: set) }),
    ("logDecay", { x, y, set in kimiDeltaLogDecay(&x, bias: y, rate: 2, on: set) }),
    ("exponentiate", { x, _, set in x[0] = exponentiate(&x, subtracting: 3, on: set) }),
  ]
  static let reductions: [(name: String, reduction: Reduction)] = [
    ("dot", { x, y, set in Double(dot(x, y, on: set)) }),
    ("sum", { x, _, set in Double(sum(x, on: set)) }),
    ("sumOfSquares", { x, _, set in Double(sumOfSquares(x, on: set)) }),
    ("maximumElement", { x, _, set in Double(maximumElement(x, on: set)) }),
  ]
  static let exponentialReductions: [(name: String, reduction: Reduction)] = [
    ("sumOfExponentials", { x, _, set in sumOfExponentials(x, minus: 2, on: set) }),
    ("logSumExp", { x, _, set in logSumExp(x, on: set) }),
  ]

  /// Numbers of all sizes, a few of them infinite, NaN or subnormal.
  private func numbers(_ count: Int, _ generator: inout SeededGenerator) -> [Float] {
    let special: [Float] = [.infinity, -.infinity, .nan, 0, -0.0, -200, 0x1p-140, 3e38]
    return (0..<count).map { _ in
      Int.random(in: 0..<50, using: &generator) == 0
        ? special.randomElement(using: &generator) ?? 0
        : Float.random(in: -100...100, using: &generator)
    }
  }

  /// Whether numbers differ by few roundings; what is subnormal has few digits to agree in.
  private func areClose(_ left: Double, _ right: Double) -> Bool {
    if left.isNaN || right.isNaN { return left.isNaN && right.isNaN }
    guard left.isFinite, right.isFinite else { return left == right }
    return abs(left - right) <= 1e-6 * max(abs(left), abs(right)) + 0x1p-147
  }

  @Test(arguments: lengths)
  func elementwise(length: Int) {
    var generator = SeededGenerator()
    for offset in 0..<3 {
      let (left, right) = (
        numbers(length + offset, &generator), numbers(length + offset, &generator)
      )
      func result(_ change: Change, _ set: InstructionSet) -> [Float] {
        var result = left
        var span = result.mutableSpan
        var part = span._mutatingExtracting(offset..<offset + length)
        change(&part, right.span.extracting(offset..<offset + length), set)
        return result
      }
      for (name, change) in Self.changes where length > 0 {
        let expected = result(change, .portable)
        for set in Self.sets {
          let isSame = sameBits(result(change, set), expected)
          #expect(isSame, "\(name) on \(set)")
        }
      }
      for (name, change) in Self.exponentialChanges where length > 0 {
        let portable = result(change, .portable)
        let expected = result(change, Self.sets.first ?? .portable)
        for (element, other) in zip(portable, expected) {
          #expect(areClose(Double(element), Double(other)), "\(name): \(element), \(other)")
        }
        for set in Self.sets {
          let isSame = sameBits(result(change, set), expected)
          #expect(isSame, "\(name) on \(set)")
        }
      }
    }
  }

  @Test(arguments: lengths)
  func reductionsOfFiniteNumbers(length: Int) {
    var generator = SeededGenerator()
    for offset in 0..<3 {
      let left = generator.floats(length + offset, in: -9...9)
      let right = generator.floats(length + offset, in: -9...9)
      let range = offset..<offset + length
      func result(_ reduction: Reduction, _ set: InstructionSet) -> Double {
        reduction(left.span.extracting(range), right.span.extracting(range), set)
      }
      for (name, reduction) in Self.reductions {
        let expected = result(reduction, .portable)
        for set in Self.sets {
          #expect(
            result(reduction, set).bitPattern == expected.bitPattern, "\(name) on \(set)")
        }
      }
      for (name, reduction) in Self.exponentialReductions {
        let portable = result(reduction, .portable)
        let expected = result(reduction, Self.sets.first ?? .portable)
        #expect(areClose(portable, expected), "\(name): \(portable), \(expected)")
        for set in Self.sets {
          #expect(
            result(reduction, set).bitPattern == expected.bitPattern, "\(name) on \(set)")
        }
      }
    }
  }

  @Test(arguments: [2, 32, 64, 66, 128, 4096])
  func widening(group: Int) {
    var generator = SeededGenerator()
    let groups = 3
    let count = groups * group
    let bytes = (0..<4 * count + 1).map { _ in UInt8.random(in: 0...255, using: &generator) }
    // From the second byte on: tensors in a file start anywhere.
    let raw = unsafe bytes.span.bytes
    func result(_ body: (inout MutableSpan<Float>) -> Void) -> [Float] {
      var output = [Float](repeating: 0, count: count)
      var span = output.mutableSpan
      body(&span)
      return output
    }
    for set in Self.sets {
      for dtype in [DType.bf16, .f16, .f32] {
        let source = raw.extracting(1..<1 + count * dtype.bitWidth / 8)
        let expected = result { widen(dtype, source, into: &$0, on: .portable) }
        let isSame = sameBits(result { widen(dtype, source, into: &$0, on: set) }, expected)
        #expect(isSame, "\(dtype) on \(set)")
      }
      for bits in [4, 8] {
        let codes = raw.extracting(1..<1 + count * bits / 8)
        let scales = raw.extracting(3..<3 + 2 * groups)
        func widened(_ set: InstructionSet) -> [Float] {
          result {
            widenCodes(
              bits: bits, group: group, codes: codes, scales: scales, into: &$0, on: set)
          }
        }
        let isSame = sameBits(widened(set), widened(.portable))
        #expect(isSame, "\(bits) bits on \(set)")
      }
    }
  }
}

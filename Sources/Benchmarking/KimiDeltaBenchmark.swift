// SPDX-License-Identifier: Apache-2.0

package import Kernels
import TensorCore

/// How fast the kernels of Kimi Delta Attention are by themselves, on one thread.
package struct KimiDeltaBenchmark: Sendable {
  /// What was measured of one kernel and length.
  package struct Result: Sendable {
    /// The kernel.
    package let kernel: KimiDeltaKernel
    /// Tokens of the sequence.
    package let tokens: Int
    /// Heads.
    package let heads: Int
    /// Times for all tokens of all heads.
    package let time: Measurement
    /// Operations of the form that the kernel computes, for a token and head.
    package let operations: Int

    /// Seconds for a token and head.
    package var secondsPerTokenAndHead: Double { time.median / Double(tokens * heads) }
    /// Operations a second.
    package var operationsPerSecond: Double { Double(operations) / secondsPerTokenAndHead }
  }

  /// Tokens times heads of a run: a long sequence has fewer heads, so that its operands stay small.
  private static let rowCount = 1 << 14
  /// Most heads of a run; more would only repeat the same.
  private static let maximumHeadCount = 4

  private let shape: KimiDeltaShape
  private let repeats: Int

  /// - Parameters:
  ///   - shape: Heads and channels of the model.
  ///   - repeats: Runs of each.
  package init(shape: KimiDeltaShape, repeats: Int) {
    self.shape = shape
    self.repeats = repeats
  }

  /// Operations for a token and head, as each form computes them.
  ///
  /// 7 K V in four passes; 6 K V + K for the recurrence that keeps decays apart from the state; 6 K V +
  /// C (2 K + 2 V) in chunks of C.
  package static func operations(_ kernel: KimiDeltaKernel, shape: KimiDeltaShape) -> Int {
    let square = shape.keyDimension * shape.valueDimension
    return switch kernel {
    case .passes: 7 * square
    case .recurrent: 6 * square + shape.keyDimension
    case .chunkwise(let chunk):
      6 * square + chunk * 2 * (shape.keyDimension + shape.valueDimension)
    }
  }

  /// Measures one kernel.
  ///
  /// - Parameters:
  ///   - kernel: Which.
  ///   - tokens: Length of the sequence.
  /// - Returns: The result.
  package func run(_ kernel: KimiDeltaKernel, tokens: Int) -> Result {
    let heads = min(shape.heads, Self.maximumHeadCount, max(1, Self.rowCount / max(tokens, 1)))
    let shape = KimiDeltaShape(
      heads: heads, keyDimension: shape.keyDimension, valueDimension: shape.valueDimension)
    var problem = Problem(shape: shape, tokens: tokens)
    let time = Measurement.ofShort(repeats: repeats, shortest: 0.1) {
      problem.run(kernel)
    } cleanUp: {
      problem.restore()
    }
    return Result(
      kernel: kernel, tokens: tokens, heads: shape.heads, time: time,
      operations: Self.operations(kernel, shape: shape))
  }

  /// Operands as a trained model has them: decays between 0 and -0.5 in a step.
  private struct Problem {
    let shape: KimiDeltaShape
    let queries: Matrix
    let keys: Matrix
    let values: Matrix
    let logDecay: Matrix
    let beta: Matrix
    /// Values before a run, outputs behind it.
    var outputs: Matrix
    var states: [KimiDeltaState]

    init(shape: KimiDeltaShape, tokens: Int) {
      self.shape = shape
      var noise = SeededNoise(seed: 4)
      let width = shape.heads * shape.keyDimension
      queries = noise.matrix(rows: tokens, columns: width)
      keys = noise.matrix(rows: tokens, columns: width)
      values = noise.matrix(rows: tokens, columns: shape.heads * shape.valueDimension)
      logDecay = noise.matrix(rows: tokens, columns: width, in: -0.5 ... -0.001)
      beta = noise.matrix(rows: tokens, columns: shape.heads, in: 0...1)
      outputs = Matrix(rows: tokens, columns: values.columns)
      states = []
      restore()
    }

    mutating func run(_ kernel: KimiDeltaKernel) {
      kimiDelta(
        kernel, queries: queries, keys: keys, values: &outputs, logDecay: logDecay,
        beta: beta, sequences: [0..<values.rows], states: &states, shape: shape,
        workers: Workers(count: 1))
    }

    /// As before a run, in the same memory.
    mutating func restore() {
      outputs.elements.replaceSubrange(outputs.elements.indices, with: values.elements)
      states = [KimiDeltaState(zeros: shape)]
    }
  }
}

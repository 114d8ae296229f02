// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
package import KimiLinear
import SystemPackage
package import TensorCore

/// Refuses models whose numbers are not finite: what is measured with them means nothing.
package struct FiniteCheck: Sendable {
  private let model: String

  /// - Parameter source: The model.
  package init(_ source: CheckedCheckpoint) {
    model = source.checkpoint.path.string
  }

  /// Reads the weights of a model, those rows of the embedding that a sample looks up, and refuses NaN and
  /// infinities.
  ///
  /// - Parameters:
  ///   - source: The model.
  ///   - sample: The tokens that will be run.
  ///   - workers: Threads.
  ///   - progress: Told how far it is.
  /// - Throws: `CalibrationError.weightsNotFinite`, or what is wrong with a compressed block.
  package static func checkWeights(
    of source: CheckedCheckpoint, sample: CalibrationSample, workers: Workers,
    progress: Progress.Handler
  ) throws {
    if let found = try NonFiniteWeights(
      in: source, embedding: sample.tokens, workers: workers, progress: progress)
    {
      throw CalibrationError.weightsNotFinite(
        model: source.checkpoint.path.string, weights: found)
    }
  }

  /// Refuses activations that are not finite; with finite weights, they were too large for float32.
  ///
  /// - Parameters:
  ///   - activations: What was computed, `[N, n]`.
  ///   - place: Where, in words.
  /// - Throws: `CalibrationError.activationsNotFinite`.
  func check(_ activations: Matrix, _ place: @autoclosure () -> String) throws(CalibrationError) {
    let count = unsafe NonFiniteCount(activations.elements.span.bytes, as: .f32)
    guard count.nanCount + count.infinityCount == 0 else {
      throw .activationsNotFinite(model: model, place: place())
    }
  }
}

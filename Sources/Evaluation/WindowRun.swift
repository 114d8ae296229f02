// SPDX-License-Identifier: Apache-2.0

package import Kernels
package import KimiLinear
import TensorCore

/// Runs a model over the windows of a text, some windows at a time.
///
/// What comes out are the hidden states that score tokens; logits are computed from them, and never
/// kept.
package struct WindowRun: Sendable {
  /// Most tokens that go through the layers together: enough that a weight is widened for many.
  private static let tokensPerBatch = 2048
  /// Most bytes of activations and states of a batch, unless one window takes more.
  private static let bytesPerBatch = 1 << 30

  /// The model.
  package let model: Model
  /// The text.
  package let tokens: [Int]
  /// How it is cut.
  package let windows: TokenWindows
  /// How the model is run.
  package let options: Model.Options
  /// Runs of windows that are computed together; they depend on the model and the windows alone.
  package let batches: [Range<Int>]

  /// - Parameters:
  ///   - model: The model.
  ///   - tokens: The text.
  ///   - windows: How it is cut.
  ///   - options: How to run the model.
  /// - Throws: `ModelError.tooLarge` for windows that this machine cannot hold.
  package init(
    _ model: Model, tokens: [Int], windows: TokenWindows, options: Model.Options
  ) throws(ModelError) {
    self.model = model
    self.tokens = tokens
    self.windows = windows
    self.options = options
    let byteCounts = windows.windows.map { Self.byteCount(of: $0, model.configuration) }
    batches = Self.batches(of: windows, byteCounts)
    let (needed, available) = (byteCounts.max() ?? 0, PhysicalMemory.byteCount)
    guard needed <= available else {
      throw .tooLarge(model: model.name, needed: needed, available: available)
    }
  }

  private static func batches(of windows: TokenWindows, _ byteCounts: [Int]) -> [Range<Int>] {
    var batches: [Range<Int>] = []
    var start = 0
    var (tokens, bytes) = (0, 0)
    for (index, window) in windows.windows.enumerated() {
      tokens += window.range.count
      bytes += byteCounts[index]
      if index > start, tokens > tokensPerBatch || bytes > bytesPerBatch {
        batches.append(start..<index)
        start = index
        (tokens, bytes) = (window.range.count, byteCounts[index])
      }
    }
    if start < windows.windows.count { batches.append(start..<windows.windows.count) }
    return batches
  }

  /// Memory that a window takes while it is run.
  private static func byteCount(
    of window: TokenWindows.Window, _ configuration: ModelConfiguration
  ) -> Int {
    let tokens = window.range.count
    return 4
      * (tokens * configuration.activationNumbersPerToken
        + configuration.stateNumbers(tokens: tokens))
  }

  /// Runs the windows of a batch, each from an empty state.
  ///
  /// - Parameter batch: One of `batches`.
  /// - Returns: Hidden states after the final norm, `[n, d]`: row i scores the i-th of
  ///   `windows.places(in: batch)`, so it is that of the token before.
  /// - Throws: `ModelError.tokenOutOfRange`.
  package func hiddenStates(of batch: Range<Int>) throws -> Matrix {
    var batchTokens: [Int] = []
    var sequences: [Range<Int>] = []
    var rows: [Int] = []
    for window in windows.windows[batch] {
      let first = batchTokens.count
      batchTokens.append(contentsOf: tokens[window.range])
      sequences.append(first..<batchTokens.count)
      // The hidden state of a token scores the next one, so the last of a window scores nothing.
      rows += (window.firstScored..<window.range.count).map { first + $0 - 1 }
    }
    var states = sequences.map { _ in SequenceState(model.configuration) }
    return try model.run(
      batchTokens, sequences: sequences, states: &states, options: options
    ).gather(rows, workers: options.workers)
  }
}

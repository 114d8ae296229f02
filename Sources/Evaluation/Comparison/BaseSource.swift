// SPDX-License-Identifier: Apache-2.0

import Kernels
import KimiLinear
import SystemPackage
import TensorCore

/// Where the hidden states of the base come from.
package enum BaseSource: Sendable {
  /// A model that is run along.
  case model(WindowRun)
  /// A file that was saved before.
  case saved(SavedBase)

  /// What it is called in errors.
  package var name: String {
    switch self {
    case .model(let run): run.model.name
    case .saved(let base): base.path.string
    }
  }

  /// What turns its hidden states into logits.
  package var head: OutputHead {
    switch self {
    case .model(let run): OutputHead(run.model.weights.head)
    case .saved(let base): base.head
    }
  }

  /// Tokens that have to go through a model.
  var tokenCount: Int {
    switch self {
    case .model(let run): run.windows.tokenCount(in: run.windows.windows.indices)
    case .saved: 0
    }
  }
}

/// Reads the hidden states of the base in order, as many as are asked for.
///
/// A model is run in batches of its own, which need not be those of the model that is compared with
/// it: so its digits are the same as in a run alone.
struct BaseReader {
  private let source: BaseSource
  /// Hidden states that were computed and not taken yet, `[n, d]`.
  private var waiting: Matrix
  /// Positions that were taken.
  private var taken = 0
  private var nextBatch = 0
  /// Tokens that went through a model.
  private(set) var tokensRun = 0

  init(_ source: BaseSource) {
    self.source = source
    waiting = Matrix(rows: 0, columns: source.head.weights.shape.columns)
  }

  /// The hidden states of the next positions.
  ///
  /// - Parameters:
  ///   - count: How many; there must be so many left.
  ///   - computed: Called with those of each batch that was run, and with the tokens that went through the model
  ///     by then: the reader itself must not be asked meanwhile.
  /// - Returns: `[count, d]`.
  /// - Throws: `ModelError.tokenOutOfRange`, or what `computed` throws.
  mutating func next(_ count: Int, computed: (Matrix, _ tokensRun: Int) throws -> Void) throws
    -> Matrix
  {
    switch source {
    case .saved(let base):
      let hidden = base.hiddenStates(taken..<taken + count)
      taken += count
      return hidden
    case .model(let run):
      while waiting.rows < count {
        let batch = run.batches[nextBatch]
        let hidden = try run.hiddenStates(of: batch)
        nextBatch += 1
        tokensRun += run.windows.tokenCount(in: batch)
        waiting = Matrix(
          rows: waiting.rows + hidden.rows, columns: waiting.columns,
          elements: waiting.elements + hidden.elements)
        try computed(hidden, tokensRun)
      }
      let columns = 0..<waiting.columns
      let hidden = waiting.block(rows: 0..<count, columns: columns)
      waiting = waiting.block(rows: count..<waiting.rows, columns: columns)
      return hidden
    }
  }
}

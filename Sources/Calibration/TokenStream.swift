// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Hidden states of all calibration tokens, as they stand before some layer of the model whose layers so far
/// are quantized.
struct TokenStream: Sendable {
  /// `[N, d]`.
  var hidden: Matrix
  /// Rows of each window.
  let windows: [Range<Int>]

  /// Most tokens that go through an attention together.
  private static let tokensPerBatch = 2048

  init(_ hidden: Matrix, context: Int) {
    self.hidden = hidden
    windows = stride(from: 0, to: hidden.rows, by: max(context, 1)).map {
      $0..<min($0 + context, hidden.rows)
    }
  }

  /// Runs of whole windows that are worked on together; they depend on the windows alone.
  var batches: [(rows: Range<Int>, sequences: [Range<Int>])] {
    var batches: [(rows: Range<Int>, sequences: [Range<Int>])] = []
    for window in windows {
      if let last = batches.last, window.upperBound - last.rows.lowerBound <= Self.tokensPerBatch {
        let start = last.rows.lowerBound
        batches[batches.count - 1].rows = start..<window.upperBound
        batches[batches.count - 1].sequences.append(
          window.lowerBound - start..<window.upperBound - start)
      } else {
        batches.append((window, [0..<window.count]))
      }
    }
    return batches
  }
}

extension Matrix {
  /// A copy of some rows.
  func rows(_ range: Range<Int>) -> Matrix { block(rows: range, columns: 0..<columns) }

  /// Adds a matrix to the rows from `first` on.
  mutating func add(_ other: Matrix, toRowsFrom first: Int) {
    withSharedRows { rows in
      for index in 0..<other.rows {
        rows.withRow(first + index) { Kernels.add(other.rowSpan(index), to: &$0) }
      }
    }
  }

  /// Adds row i of a matrix, times its weight, to the row `places[i]`.
  mutating func add(_ other: Matrix, times weights: [Float], toRows places: [Int]) {
    withSharedRows { rows in
      for (index, place) in places.enumerated() {
        rows.withRow(place) {
          Kernels.add(other.rowSpan(index), times: weights[index], to: &$0)
        }
      }
    }
  }
}

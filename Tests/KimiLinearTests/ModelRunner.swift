// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Runs a model on tokens and gives all logits.
struct ModelRunner {
  let model: Model
  var options = Model.Options(kernel: .chunkwise(chunk: 64), workers: Workers(count: 2))

  init(_ path: FilePath) throws {
    model = try Model(try CheckedCheckpoint(try Checkpoint(path)))
  }

  /// Logits `[N, vocabulary]` of one sequence, run in pieces of these lengths.
  func logits(_ tokens: [Int], pieces: [Int]) throws -> Matrix {
    var states = [SequenceState(model.configuration)]
    var elements: [Float] = []
    var start = 0
    for piece in pieces {
      let part = Array(tokens[start..<start + piece])
      let hidden = try model.run(
        part, sequences: [0..<piece], states: &states, options: options)
      elements += logits(of: hidden).elements
      start += piece
    }
    #expect(start == tokens.count && states[0].tokenCount == tokens.count)
    return Matrix(
      rows: tokens.count, columns: model.configuration.vocabularySize, elements: elements)
  }

  /// Logits of one sequence in one run.
  func logits(_ tokens: [Int]) throws -> Matrix {
    try logits(tokens, pieces: [tokens.count])
  }

  /// Logits of several sequences in one run, all rows one after the other.
  func logits(batch: [[Int]]) throws -> Matrix {
    var states = batch.map { _ in SequenceState(model.configuration) }
    var sequences: [Range<Int>] = []
    for tokens in batch {
      let start = sequences.last?.upperBound ?? 0
      sequences.append(start..<start + tokens.count)
    }
    return logits(
      of: try model.run(
        batch.flatMap(\.self), sequences: sequences, states: &states, options: options))
  }

  /// A part of the rows of a matrix.
  static func rows(_ range: Range<Int>, of matrix: Matrix) -> Matrix {
    Matrix(
      rows: range.count, columns: matrix.columns,
      elements: Array(
        matrix.elements[range.lowerBound * matrix.columns..<range.upperBound * matrix.columns]))
  }

  private func logits(of hidden: Matrix) -> Matrix {
    model.logits(
      hidden, vocabulary: 0..<model.configuration.vocabularySize, workers: options.workers)
  }

  /// Ids of the vocabulary, drawn at random.
  func tokens(_ count: Int, seed: UInt64) -> [Int] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in
      Int.random(in: 0..<model.configuration.vocabularySize, using: &random)
    }
  }
}

/// The largest difference of two matrices, relative to the largest value where that is above 1.
///
/// Infinite where a difference is not a number.
func largestDifference(_ left: Matrix, _ right: Matrix) -> Float {
  guard left.rows == right.rows, left.columns == right.columns else { return .infinity }
  let scale = left.elements.reduce(1) { max($0, abs($1)) }
  return zip(left.elements, right.elements).reduce(0) { largest, pair in
    let difference = abs(pair.0 - pair.1) / scale
    return difference.isNaN ? .infinity : max(largest, difference)
  }
}

/// Whether two matrices have the same bits.
func areIdentical(_ left: Matrix, _ right: Matrix) -> Bool {
  left.rows == right.rows
    && left.elements.map(\.bitPattern) == right.elements.map(\.bitPattern)
}

/// The trained checkpoint that is part of the repository.
let nanoPath = FilePath(#filePath).removingLastComponent().removingLastComponent()
  .appending("Fixtures/nano")

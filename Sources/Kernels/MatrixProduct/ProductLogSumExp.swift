// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import TensorCore

/// ln softmax(W x)[target] for each row x, without the matrix of products: a block of W goes by, and
/// its tiles are summed while they are in the first-level cache.
///
/// Each row keeps its largest product m and the sum of exp(product - m), which a larger maximum
/// rescales. Products are float32, sums float64, and blocks come in a fixed order, so the result does
/// not depend on the number of threads.
package enum ProductLogSumExp {
  /// Tokens that share one widening of the weights.
  private static let tokensPerItem = 1024
  /// Rows whose blocks one thread puts together at a time.
  private static let tokensPerMerge = 256

  /// Natural-log probabilities.
  ///
  /// - Parameters:
  ///   - targets: One row of the weights for each row of the input; one that there is not has
  ///     probability 0.
  ///   - input: x `[N, in]`.
  ///   - weight: W `[out, in]`, as it is stored.
  ///   - workers: Threads.
  /// - Returns: N numbers.
  package static func logProbabilities(
    of targets: [Int], input: PackedRows, weight: EncodedTensor, workers: Workers
  ) -> [Double] {
    precondition(targets.count == input.rows, "a target for each row")
    precondition(weight.shape.columns == input.columns, "activations do not fit the weights")
    let (rows, height) = (weight.shape.rows, input.stripHeight)
    let blockRows = WeightProduct.blockRowCount(inner: input.columns, on: input.instructions)
    let blocks = (rows + blockRows - 1) / blockRows
    let stripsPerItem = max(tokensPerItem / height, 1)
    let parts = (input.strips.rows + stripsPerItem - 1) / stripsPerItem
    let tallies = workers.map(blocks * parts) { item in
      let first = item % blocks * blockRows
      let strip = item / blocks * stripsPerItem
      return tally(
        input, strips: strip..<min(strip + stripsPerItem, input.strips.rows), weight,
        rows: first..<min(first + blockRows, rows), targets)
    }
    let tokensPerPart = stripsPerItem * height
    let merged = workers.map((input.rows + tokensPerMerge - 1) / tokensPerMerge) { item in
      (item * tokensPerMerge..<min((item + 1) * tokensPerMerge, input.rows)).map { row in
        var total = Tally()
        for block in 0..<blocks {
          total.add(tallies[row / tokensPerPart * blocks + block][row % tokensPerPart])
        }
        return total.logProbability
      }
    }
    return merged.flatMap { $0 }
  }

  /// One block of the weights, some strips of the input.
  private static func tally(
    _ input: PackedRows, strips: Range<Int>, _ weight: EncodedTensor, rows: Range<Int>,
    _ targets: [Int]
  ) -> [Tally] {
    var tallies: [Tally] = []
    tallies.reserveCapacity(strips.count * input.stripHeight)
    WeightProduct.forEachTile(input, strips: strips, by: weight, rows: rows) { tokens, tile in
      for (index, token) in tokens.enumerated() {
        let products = tile.span.extracting(index * rows.count..<(index + 1) * rows.count)
        let largest = maximumElement(products, on: input.instructions)
        tallies.append(
          Tally(
            maximum: largest,
            sum: sumOfExponentials(products, minus: largest, on: input.instructions),
            target: rows.contains(targets[token])
              ? products[targets[token] - rows.lowerBound] : -.infinity))
      }
    }
    return tallies
  }
}

/// What one row has seen of its products so far.
private struct Tally: Sendable {
  var maximum = -Float.infinity
  var sum = 0.0
  var target = -Float.infinity

  mutating func add(_ other: Tally) {
    if other.maximum > maximum {
      sum = sum * exp(Double(maximum) - Double(other.maximum)) + other.sum
      maximum = other.maximum
    } else {
      sum += other.sum * exp(Double(other.maximum) - Double(maximum))
    }
    target = Swift.max(target, other.target)
  }

  var logProbability: Double { Double(target) - Double(maximum) - log(sum) }
}

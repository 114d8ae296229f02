// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Multi-head Latent Attention without positional encoding, over a cache of latents.
///
/// For head h and the query at position i of its sequence (source: DeepSeek-V2, section 2.1, with
/// the rotary part never rotated, as Kimi Linear does):
///
///     c_j = [latent_j (rank) | shared_j (rope)]                    the cache, one row a token
///     [key_j (nope) | value_j] = kv_b[h] latent_j
///     score_ij = (q_i . [key_j | shared_j]) * (nope + rope)^-1/2    for j <= i
///     out_i = sum_j softmax(score_i)_j value_j
///
/// Two ways give the same numbers up to rounding. *Expanded* computes keys and values of a block
/// of the cache and serves many queries; *absorbed* moves kv_b to the other side, q' = key_b^T q and
/// out = value_b (sum of latents), and serves few queries without expanding anything.
package struct LatentAttention: Sendable {
  /// Number of heads.
  package let heads: Int
  /// Length of a latent.
  package let rank: Int
  /// Part of query and key that goes through the latent.
  package let nopeDimension: Int
  /// Part of the key that all heads share.
  package let ropeDimension: Int
  /// Values of a head.
  package let valueDimension: Int

  package init(
    heads: Int, rank: Int, nopeDimension: Int, ropeDimension: Int, valueDimension: Int
  ) {
    self.heads = heads
    self.rank = rank
    self.nopeDimension = nopeDimension
    self.ropeDimension = ropeDimension
    self.valueDimension = valueDimension
  }

  /// The tokens of one sequence that attend now.
  package struct Sequence: Sendable {
    /// Rows of the query matrix.
    package let rows: Range<Int>
    /// Latents and shared keys of all tokens so far, those of `rows` included: `[T, rank + rope]`.
    package let cache: Matrix

    package init(rows: Range<Int>, cache: Matrix) {
      self.rows = rows
      self.cache = cache
    }
  }

  private var keyDimension: Int { nopeDimension + ropeDimension }
  private var expandedDimension: Int { nopeDimension + valueDimension }
  private var scale: Float { 1 / Float(keyDimension).squareRoot() }

  /// Tokens of the cache that are worked on at a time: the memory of one block, not of the context.
  private static let keysPerBlock = 512
  /// Fewer queries than this do not pay for expanding keys and values.
  private static let fewestExpandedQueries = 16

  /// Attends for all heads of all sequences.
  ///
  /// - Parameters:
  ///   - queries: `[N, heads * (nope + rope)]`.
  ///   - upProjection: Stored `kv_b_proj`, `[heads * (nope + value), rank]`.
  ///   - sequences: Disjoint rows of the queries with their caches.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, heads * value]`, rows of no sequence are 0.
  package func attend(
    queries: Matrix, upProjection: EncodedTensor, sequences: [Sequence], workers: Workers
  ) -> Matrix {
    var output = Matrix(rows: queries.rows, columns: heads * valueDimension)
    // The longest first, so that no thread begins one when the others are done.
    let ordered = sequences.sorted { Self.cost($0) > Self.cost($1) }
    output.withSharedRows { output in
      workers.forEach(heads * ordered.count) { item in
        let head = item % heads
        let sequence = ordered[item / heads]
        if sequence.rows.count < Self.fewestExpandedQueries {
          attendAbsorbed(
            queries, widened(upProjection, head: head), sequence, head: head, into: output)
        } else {
          attendExpanded(queries, upProjection, sequence, head: head, into: output)
        }
      }
    }
    return output
  }

  /// Pairs of a query and a key that it sees.
  private static func cost(_ sequence: Sequence) -> Int {
    sequence.rows.count * (sequence.cache.rows - sequence.rows.count / 2)
  }

  private func attendExpanded(
    _ queries: Matrix, _ upProjection: EncodedTensor, _ sequence: Sequence, head: Int,
    into output: SharedRows
  ) {
    let instructions = InstructionSet.best
    let rows = head * expandedDimension..<(head + 1) * expandedDimension
    WeightProduct.withPanels(of: upProjection, rows: rows, on: instructions) { projection in
      ExpandedAttention(dimensions: self, instructions: instructions).attend(
        queries, projection: projection, sequence, head: head, into: output)
    }
  }

  /// The rows of `kv_b_proj` that belong to one head: `[nope + value, rank]`.
  private func widened(_ projection: EncodedTensor, head: Int) -> Matrix {
    var matrix = Matrix(rows: expandedDimension, columns: rank)
    let rows = head * expandedDimension..<(head + 1) * expandedDimension
    matrix.withSharedRows { target in
      target.withRows(0..<expandedDimension) { widen(projection, rows: rows, into: &$0) }
    }
    return matrix
  }

  private func attendAbsorbed(
    _ queries: Matrix, _ projection: Matrix, _ sequence: Sequence, head: Int,
    into output: SharedRows
  ) {
    let columns = head * keyDimension
    let nope = queries.block(rows: sequence.rows, columns: columns..<columns + nopeDimension)
    let keyProjection = projection.block(rows: 0..<nopeDimension, columns: 0..<rank)
    var absorbed = Matrix(rows: sequence.rows.count, columns: rank + ropeDimension)
    absorbed.copyColumns(of: nope.multiplied(by: keyProjection), 0..<rank, row: 0, to: 0)
    absorbed.copyColumns(
      of: queries, columns + nopeDimension..<columns + keyDimension, row: sequence.rows.lowerBound,
      to: rank)
    var stream = SoftmaxStream(
      queries: absorbed, firstPosition: sequence.cache.rows - sequence.rows.count,
      valueDimension: rank, scale: scale)
    for start in stride(from: 0, to: sequence.cache.rows, by: Self.keysPerBlock) {
      let block = start..<min(start + Self.keysPerBlock, sequence.cache.rows)
      let keys = sequence.cache.block(rows: block, columns: 0..<rank + ropeDimension)
      let latents = sequence.cache.block(rows: block, columns: 0..<rank)
      stream.update(keys: keys, values: latents, firstKey: block.lowerBound)
    }
    let valueProjection = projection.block(
      rows: nopeDimension..<expandedDimension, columns: 0..<rank)
    output.store(
      stream.result().multiplied(byTransposed: valueProjection), row: sequence.rows.lowerBound,
      column: head * valueDimension)
  }
}

// SPDX-License-Identifier: Apache-2.0

internal import TensorCore

/// Latent attention of one head of one sequence, with keys and values computed from the latents.
///
/// Keys come by in blocks. Each block is expanded once, into the layout of the products, and serves all
/// queries, a strip of them at a time; a strip takes no keys behind its last query. Every
/// query keeps the largest score m so far, the sum l of exp(score - m) and the weighted sum o of
/// values; a larger maximum rescales l and o (online softmax, Milakov and Gimelshein 2018).
struct ExpandedAttention {
  let dimensions: LatentAttention
  let instructions: InstructionSet

  /// Keys of a block: with its values it fills half of a common L2 cache.
  private static let keysPerBlock = 256

  private var keyDimension: Int { dimensions.nopeDimension + dimensions.ropeDimension }
  private var valueDimension: Int { dimensions.valueDimension }
  private var height: Int { instructions.stripHeight }

  /// Distance of two expanded rows, `[key (nope) | value]`, with room for whole panels of values.
  private var expandedStride: Int {
    let width = instructions.panelWidth
    return dimensions.nopeDimension + (valueDimension + width - 1) / width * width
  }

  /// - Parameters:
  ///   - queries: `[N, heads * (nope + rope)]`.
  ///   - projection: The rows of `kv_b_proj` of this head in panels, `rank` long.
  ///   - sequence: The queries' rows and the cache.
  ///   - head: Index of the head.
  ///   - output: `[N, heads * value]`; the rows of the sequence in the columns of the head are written.
  func attend(
    _ queries: Matrix, projection: Span<Float>, _ sequence: LatentAttention.Sequence, head: Int,
    into output: SharedRows
  ) {
    let count = sequence.rows.count
    let firstPosition = sequence.cache.rows - count
    var stream = SoftmaxTallies(queries: count)
    var weighted = Matrix(rows: count, columns: valueDimension)
    let strips = packQueries(queries, sequence.rows, head: head)
    weighted.withSharedRows { weighted in
      withScratch(Self.keysPerBlock * expandedStride) { expanded in
        withScratch(
          instructions.panelElementCount(rows: Self.keysPerBlock, inner: keyDimension)
        ) { keys in
          for start in stride(from: 0, to: sequence.cache.rows, by: Self.keysPerBlock) {
            let block = start..<min(start + Self.keysPerBlock, sequence.cache.rows)
            expand(sequence.cache, block, projection, into: &expanded)
            packKeys(expanded.span, sequence.cache, block, into: &keys)
            for strip in 0..<strips.rows {
              let first = strip * height
              attend(
                strips.rowSpan(strip), queries: first..<min(first + height, count),
                firstPosition: firstPosition, keys: keys.span,
                values: expanded.span.extracting(dimensions.nopeDimension...), block: block,
                tallies: &stream, weighted: weighted)
            }
          }
        }
      }
    }
    let columns = head * valueDimension..<(head + 1) * valueDimension
    for row in 0..<count {
      output.withRow(sequence.rows.lowerBound + row, columns: columns) { target in
        target.copy(from: weighted.rowSpan(row))
        scale(&target, by: 1 / stream.sums[row])
      }
    }
  }

  /// The queries of the head, times the scale of the scores: strips `[nope + rope, R]`.
  private func packQueries(_ queries: Matrix, _ rows: Range<Int>, head: Int) -> Matrix {
    let count = (rows.count + height - 1) / height
    let factor = 1 / Float(keyDimension).squareRoot()
    return Matrix(rows: count, columns: keyDimension * height) { strips in
      for strip in 0..<count {
        let first = rows.lowerBound + strip * height
        strips.withRow(strip) { target in
          packStrip(
            of: queries.elements.span.extracting(
              (first * queries.columns + head * keyDimension)...),
            rows: min(height, rows.upperBound - first), stride: queries.columns,
            inner: keyDimension, into: &target, on: instructions)
          scale(&target, by: factor)
        }
      }
    }
  }

  /// Keys and values of a block of the cache: rows `[key (nope) | value]`.
  private func expand(
    _ cache: Matrix, _ block: Range<Int>, _ projection: Span<Float>,
    into expanded: inout MutableSpan<Float>
  ) {
    let rank = dimensions.rank
    let stride = expandedStride
    withScratch(rank * height) { strip in
      for first in Swift.stride(from: 0, to: block.count, by: height) {
        let rows = min(height, block.count - first)
        packStrip(
          of: cache.elements.span.extracting(((block.lowerBound + first) * cache.columns)...),
          rows: rows, stride: cache.columns, inner: rank, into: &strip, on: instructions)
        let product = StripProduct(
          rows: rows, columns: dimensions.nopeDimension + valueDimension, inner: rank,
          layout: .packed(inner: rank, on: instructions), instructions: instructions)
        var target = expanded._mutatingExtracting(first * stride..<(first + rows) * stride)
        product(strip.span, projection, into: &target, stride: stride)
      }
    }
  }

  /// The keys of a block in panels, `[nope + rope, C]` each: expanded ones above, shared ones below.
  private func packKeys(
    _ expanded: Span<Float>, _ cache: Matrix, _ block: Range<Int>,
    into keys: inout MutableSpan<Float>
  ) {
    let width = instructions.panelWidth
    let (nope, rope) = (dimensions.nopeDimension, dimensions.ropeDimension)
    for first in stride(from: 0, to: block.count, by: width) {
      let rows = min(width, block.count - first)
      let place = first * keyDimension
      var upper = keys._mutatingExtracting(place..<place + nope * width)
      packPanel(
        of: expanded.extracting((first * expandedStride)...), rows: rows, stride: expandedStride,
        inner: nope, into: &upper, on: instructions)
      guard rope > 0 else { continue }
      var lower = keys._mutatingExtracting(place + nope * width..<place + keyDimension * width)
      let start = (block.lowerBound + first) * cache.columns + dimensions.rank
      packPanel(
        of: cache.elements.span.extracting(start...), rows: rows, stride: cache.columns,
        inner: rope, into: &lower, on: instructions)
    }
  }

  /// Takes one strip of queries through one block of keys.
  private func attend(
    _ strip: Span<Float>, queries: Range<Int>, firstPosition: Int, keys: Span<Float>,
    values: Span<Float>, block: Range<Int>, tallies: inout SoftmaxTallies, weighted: SharedRows
  ) {
    let visible = min(firstPosition + queries.upperBound - block.lowerBound, block.count)
    guard visible > 0 else { return }
    let scoring = StripProduct(
      rows: queries.count, columns: visible, inner: keyDimension,
      layout: .packed(inner: keyDimension, on: instructions), instructions: instructions)
    let weighing = StripProduct(
      rows: queries.count, columns: valueDimension, inner: visible,
      layout: .rowMajor(stride: expandedStride, on: instructions), instructions: instructions)
    withScratch(queries.count * visible) { scores in
      scoring(strip, keys, into: &scores, stride: visible)
      for (index, query) in queries.enumerated() {
        var row = scores._mutatingExtracting(index * visible..<(index + 1) * visible)
        let own = firstPosition + query + 1 - block.lowerBound
        let rescale = tallies.weigh(
          &row, visible: min(max(own, 0), visible), query: query, on: instructions)
        if rescale != 1 { weighted.withRow(query) { scale(&$0, by: rescale, on: instructions) } }
      }
      withScratch(visible * height) { weights in
        packStrip(
          of: scores.span, rows: queries.count, stride: visible, inner: visible, into: &weights,
          on: instructions)
        weighted.withRows(queries) { target in
          weighing(weights.span, values, into: &target, stride: valueDimension, adding: true)
        }
      }
    }
  }
}

/// What each query of a sequence has seen of its keys so far.
struct SoftmaxTallies {
  /// The largest score of each query.
  private var maxima: [Float]
  /// The sum of exp(score - largest) of each query.
  private(set) var sums: [Float]

  init(queries: Int) {
    maxima = [Float](repeating: -.infinity, count: queries)
    sums = [Float](repeating: 0, count: queries)
  }

  /// Turns the next scores of a query into exp(score - largest), those behind `visible` into 0.
  ///
  /// - Returns: The factor that brings earlier sums of the query to the new largest score.
  mutating func weigh(
    _ scores: inout MutableSpan<Float>, visible: Int, query: Int, on instructions: InstructionSet
  ) -> Float {
    for index in visible..<scores.count { scores[index] = 0 }
    guard visible > 0 else { return 1 }
    var part = scores._mutatingExtracting(0..<visible)
    let larger = Swift.max(maxima[query], maximumElement(part.span, on: instructions))
    // exp(-infinity) is 0: before the first block there is nothing to keep.
    let rescale = exponential(maxima[query] - larger, on: instructions)
    sums[query] =
      sums[query] * rescale + exponentiate(&part, subtracting: larger, on: instructions)
    maxima[query] = larger
    return rescale
  }
}

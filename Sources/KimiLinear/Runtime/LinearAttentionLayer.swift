// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Kimi Delta Attention of one layer, from the normalised hidden state to its contribution.
///
///     q, k, v = SiLU(conv(W x));  g = -exp(A_log) softplus(f_b f_a x + dt_bias);  beta = sigmoid(b x)
///     o = KDA(q, k, v, g, beta);  y = o_proj (RMSNorm(o) * sigmoid(g_b g_a x))
///
/// Source: Kimi Linear technical report (arXiv 2510.26692), sections 3 and 4.
struct LinearAttentionLayer {
  let weights: LinearAttentionWeights
  let dimensions: ModelConfiguration.LinearAttention
  let normEpsilon: Float
  let kernel: KimiDeltaKernel
  let workers: Workers
  /// Told about each part, if there is one.
  var clock: PartClock?

  /// Adds the layer's output to the residual stream.
  ///
  /// - Parameters:
  ///   - input: `[N, d]`, all sequences one after the other.
  ///   - sequences: The rows of each.
  ///   - states: One for each sequence; brought up to date.
  ///   - hidden: `[N, d]`.
  func apply(
    _ input: PackedRows, sequences: [Range<Int>], states: inout [LinearAttentionState],
    adding hidden: inout Matrix
  ) {
    let (outputs, gate) = attend(input, sequences: sequences, states: &states)
    let mixed = PackedRows(
      rows: outputs.rows, columns: outputs.columns, workers: workers
    ) { row, elements in
      elements.copy(from: outputs.rowSpan(row))
      normalize(&elements, gate: gate.rowSpan(row))
    }
    clock?.ended(.norm)
    WeightProduct.add(mixed, by: weights.output, to: &hidden, workers: workers)
    clock?.ended(.projections)
  }

  /// Everything but the output projection: its input, `[N, H * K]`.
  func mix(
    _ input: PackedRows, sequences: [Range<Int>], states: inout [LinearAttentionState]
  ) -> Matrix {
    let (outputs, gate) = attend(input, sequences: sequences, states: &states)
    return Matrix(rows: outputs.rows, columns: outputs.columns) { mixed in
      mixed.forEachRow(workers: workers) { row, elements in
        elements.copy(from: outputs.rowSpan(row))
        normalize(&elements, gate: gate.rowSpan(row))
      }
    }
  }

  /// The gated norm of the outputs of one token.
  private func normalize(_ output: inout MutableSpan<Float>, gate: Span<Float>) {
    gatedHeadNorm(&output, gate: gate, weight: weights.outputNorm, epsilon: normEpsilon)
  }

  /// Outputs of the recurrence and what their gates are computed from, `[N, H * K]` each.
  private func attend(
    _ input: PackedRows, sequences: [Range<Int>], states: inout [LinearAttentionState]
  ) -> (outputs: Matrix, gate: Matrix) {
    var projected = project(input, sequences: sequences, states: &states)
    let decay = KimiDeltaLogDecay(
      rateLogarithms: weights.logDecayRate, bias: weights.decayBias, shape: dimensions.deltaShape)
    let gates = WeightProduct.multiply(
      [
        PlannedProduct(
          PackedRows(projected[3], workers: workers), by: weights.forgetUp,
          finish: timed(.gates) { decay.apply(to: $0, rows: $1, columns: $2) }),
        PlannedProduct(PackedRows(projected[4], workers: workers), by: weights.gateUp),
      ], workers: workers)
    clock?.ended(.projections)

    var deltas = states.indices.map { states[$0].lend(\.delta) }
    kimiDelta(
      kernel, queries: projected[0], keys: projected[1], values: &projected[2],
      logDecay: gates[0], beta: projected[5], sequences: sequences, states: &deltas,
      shape: dimensions.deltaShape, workers: workers)
    for index in states.indices { states[index].delta = deltas[index] }
    clock?.ended(.kernel)
    // From here on values are outputs.
    return (projected[2], gates[1])
  }

  /// Everything that reads the input, in one parallel run: q, k and v, convolved; the low-rank forms of
  /// forget gate and output gate; beta.
  private func project(
    _ input: PackedRows, sequences: [Range<Int>], states: inout [LinearAttentionState]
  ) -> [Matrix] {
    let products = convolving(weights.queryConvolution, \.queryConvolution, sequences, &states) {
      query, states in
      convolving(weights.keyConvolution, \.keyConvolution, sequences, &states) { key, states in
        convolving(weights.valueConvolution, \.valueConvolution, sequences, &states) {
          value, _ in
          WeightProduct.multiply(
            [
              PlannedProduct(input, by: weights.query, finish: query),
              PlannedProduct(input, by: weights.key, finish: key),
              PlannedProduct(input, by: weights.value, finish: value),
              PlannedProduct(input, by: weights.forgetDown),
              PlannedProduct(input, by: weights.gateDown),
              PlannedProduct(
                input, by: weights.beta,
                finish: timed(.gates) { beta, rows, columns in
                  for row in rows { beta.withRow(row, columns: columns) { sigmoid(&$0) } }
                }),
            ], workers: workers)
        }
      }
    }
    clock?.ended(.projections)
    return products
  }

  /// Lends the convolution of q, k or v, in the form that a planned product takes.
  private func convolving<Result>(
    _ taps: ShortConvolutionWeights,
    _ state: WritableKeyPath<LinearAttentionState, ShortConvolutionState>,
    _ sequences: [Range<Int>], _ states: inout [LinearAttentionState],
    _ body: (@escaping PlannedProduct.Finish, inout [LinearAttentionState]) -> Result
  ) -> Result {
    var lent = states.indices.map { states[$0].lend(state) }
    let result = ShortConvolution.with(taps, sequences: sequences, states: &lent) { convolution in
      body(
        timed(.convolution) { convolution.apply(to: $0, rows: $1, channels: $2) }, &states)
    }
    for index in states.indices { states[index][keyPath: state] = lent[index] }
    return result
  }

  /// What is done with a product, with its time told to the clock, if there is one.
  private func timed(
    _ part: LinearAttentionPart, _ finish: @escaping PlannedProduct.Finish
  ) -> PlannedProduct.Finish {
    guard let clock else { return finish }
    let threads = workers.count
    return { product, rows, columns in
      let start = ContinuousClock.now
      finish(product, rows, columns)
      clock.spent(part, (.now - start) / threads)
    }
  }
}

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
    let mixed = mix(input, sequences: sequences, states: &states)
    WeightProduct.add(
      PackedRows(mixed, workers: workers), by: weights.output, to: &hidden, workers: workers)
    clock?.ended(.projections)
  }

  /// Everything but the output projection: its input, `[N, H * K]`.
  func mix(
    _ input: PackedRows, sequences: [Range<Int>], states: inout [LinearAttentionState]
  ) -> Matrix {
    // Everything that reads the input, in one parallel run.
    var projected = WeightProduct.multiply(
      input,
      by: [
        weights.query, weights.key, weights.value, weights.forgetDown, weights.gateDown,
        weights.beta,
      ],
      workers: workers)
    clock?.ended(.projections)
    convolve(&projected[0], weights.queryConvolution, sequences, &states, \.queryConvolution)
    convolve(&projected[1], weights.keyConvolution, sequences, &states, \.keyConvolution)
    convolve(&projected[2], weights.valueConvolution, sequences, &states, \.valueConvolution)
    clock?.ended(.convolution)
    var decay = WeightProduct.multiply(projected[3], by: weights.forgetUp, workers: workers)
    clock?.ended(.projections)
    kimiDeltaLogDecay(
      &decay, rateLogarithms: weights.logDecayRate, bias: weights.decayBias,
      shape: dimensions.deltaShape, workers: workers)
    projected[5].forEachRow(workers: workers) { _, row in sigmoid(&row) }
    clock?.ended(.gates)

    var deltas = states.indices.map { states[$0].lend(\.delta) }
    kimiDelta(
      kernel, queries: projected[0], keys: projected[1], values: &projected[2], logDecay: decay,
      beta: projected[5], sequences: sequences, states: &deltas, shape: dimensions.deltaShape,
      workers: workers)
    for index in states.indices { states[index].delta = deltas[index] }
    clock?.ended(.kernel)

    // From here on values are outputs.
    let gate = WeightProduct.multiply(projected[4], by: weights.gateUp, workers: workers)
    clock?.ended(.projections)
    gatedHeadNorm(
      &projected[2], gate: gate, weight: weights.outputNorm, epsilon: normEpsilon,
      workers: workers)
    clock?.ended(.norm)
    return projected[2]
  }

  /// Convolves what was projected, in place.
  private func convolve(
    _ channels: inout Matrix, _ taps: ShortConvolutionWeights, _ sequences: [Range<Int>],
    _ states: inout [LinearAttentionState],
    _ state: WritableKeyPath<LinearAttentionState, ShortConvolutionState>
  ) {
    var convolutionStates = states.indices.map { states[$0].lend(state) }
    shortConvolution(
      &channels, weights: taps, sequences: sequences, states: &convolutionStates, workers: workers)
    for index in states.indices { states[index][keyPath: state] = convolutionStates[index] }
  }
}

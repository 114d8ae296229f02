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

  /// - Parameters:
  ///   - input: `[N, d]`, all sequences one after the other.
  ///   - sequences: The rows of each.
  ///   - states: One for each sequence; brought up to date.
  /// - Returns: `[N, d]`.
  func apply(
    _ input: Matrix, sequences: [Range<Int>], states: inout [LinearAttentionState]
  ) -> Matrix {
    let queries = convolved(
      input, weights.query, weights.queryConvolution, sequences, &states, \.queryConvolution)
    let keys = convolved(
      input, weights.key, weights.keyConvolution, sequences, &states, \.keyConvolution)
    let values = convolved(
      input, weights.value, weights.valueConvolution, sequences, &states, \.valueConvolution)
    var decay = product(product(input, weights.forgetDown), weights.forgetUp)
    kimiDeltaLogDecay(
      &decay, rateLogarithms: weights.logDecayRate, bias: weights.decayBias,
      shape: dimensions.deltaShape, workers: workers)
    var beta = product(input, weights.beta)
    beta.forEachRow(workers: workers) { _, row in sigmoid(&row) }

    var deltas = states.indices.map { states[$0].lend(\.delta) }
    var mixed = kimiDelta(
      kernel, queries: queries, keys: keys, values: values, logDecay: decay, beta: beta,
      sequences: sequences, states: &deltas, shape: dimensions.deltaShape, workers: workers)
    for index in states.indices { states[index].delta = deltas[index] }

    let gate = product(product(input, weights.gateDown), weights.gateUp)
    gatedHeadNorm(
      &mixed, gate: gate, weight: weights.outputNorm, epsilon: normEpsilon, workers: workers)
    return product(mixed, weights.output)
  }

  private func product(_ input: Matrix, _ weight: EncodedTensor) -> Matrix {
    WeightProduct.multiply(input, by: weight, workers: workers)
  }

  private func convolved(
    _ input: Matrix, _ projection: EncodedTensor, _ taps: ShortConvolutionWeights,
    _ sequences: [Range<Int>],
    _ states: inout [LinearAttentionState],
    _ state: WritableKeyPath<LinearAttentionState, ShortConvolutionState>
  ) -> Matrix {
    var convolutionStates = states.indices.map { states[$0].lend(state) }
    var output = product(input, projection)
    shortConvolution(
      &output, weights: taps, sequences: sequences, states: &convolutionStates, workers: workers)
    for index in states.indices { states[index][keyPath: state] = convolutionStates[index] }
    return output
  }
}

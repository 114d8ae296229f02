// SPDX-License-Identifier: Apache-2.0

import Kernels

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
    let decay = logDecay(
      product(product(input, weights.forgetDown), weights.forgetUp),
      logDecayRate: weights.logDecayRate, bias: weights.decayBias, workers: workers)
    var beta = product(input, weights.beta)
    beta.applySigmoid(workers: workers)

    var deltas = states.map(\.delta)
    let mixed = kimiDelta(
      kernel, queries: queries, keys: keys, values: values, logDecay: decay, beta: beta,
      sequences: sequences, states: &deltas, shape: dimensions.deltaShape, workers: workers)
    for index in states.indices { states[index].delta = deltas[index] }

    let gate = product(product(input, weights.gateDown), weights.gateUp)
    let gated = gatedNorm(
      mixed, gate: gate, weight: weights.outputNorm, epsilon: normEpsilon, workers: workers)
    return product(gated, weights.output)
  }

  private func product(_ input: Matrix, _ weight: EncodedTensor) -> Matrix {
    WeightProduct.multiply(input, by: weight, workers: workers)
  }

  private func convolved(
    _ input: Matrix, _ projection: EncodedTensor, _ taps: [Float], _ sequences: [Range<Int>],
    _ states: inout [LinearAttentionState],
    _ state: WritableKeyPath<LinearAttentionState, ShortConvolutionState>
  ) -> Matrix {
    var convolutionStates = states.map { $0[keyPath: state] }
    let output = shortConvolution(
      product(input, projection), weights: taps, kernelSize: dimensions.kernelSize,
      sequences: sequences, states: &convolutionStates, workers: workers)
    for index in states.indices { states[index][keyPath: state] = convolutionStates[index] }
    return output
  }
}

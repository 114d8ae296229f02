// SPDX-License-Identifier: Apache-2.0

/// Kimi delta attention, written to be read: the specification of the fast kernels.
///
/// For each head, with its rows q, k, g in R^K, v in R^V, the number beta and the state S [K, V]:
///
///     q = K^-0.5 q / sqrt(|q|^2 + 1e-6),  k = k / sqrt(|k|^2 + 1e-6)
///     S = diag(exp(g)) S
///     S = S + beta k (v - S^T k)^T
///     o = S^T q
///
/// The decay comes first, the correction uses the decayed state and the output the updated one.
/// Everything is float32; sums run over channels in ascending order. Parameters as for
/// `kimiDelta`, with which it agrees to a relative error of about 1e-6.
///
/// - Returns: The outputs, `[N, H * V]`; rows of no sequence are zero.
package func referenceKimiDelta(
  queries: Matrix, keys: Matrix, values: Matrix, logDecay: Matrix, beta: Matrix,
  sequences: [Range<Int>], states: inout [KimiDeltaState], shape: KimiDeltaShape
) -> Matrix {
  let (K, V) = (shape.keyDimension, shape.valueDimension)
  var output = Matrix(rows: values.rows, columns: values.columns)
  for (index, sequence) in sequences.enumerated() {
    for head in 0..<shape.heads {
      let channels = head * K..<(head + 1) * K
      let columns = head * V..<(head + 1) * V
      var state = Matrix(
        rows: K, columns: V,
        elements: Array(states[index].elements[head * K * V..<(head + 1) * K * V]))
      for token in sequence {
        let row = referenceKimiDeltaToken(
          query: normalised(queries.row(token)[channels], scale: 1 / Float(K).squareRoot()),
          key: normalised(keys.row(token)[channels], scale: 1),
          value: Array(values.row(token)[columns]),
          logDecay: Array(logDecay.row(token)[channels]),
          beta: beta[token, head], state: &state)
        for (column, element) in zip(columns, row) { output[token, column] = element }
      }
      states[index].elements.replaceSubrange(
        head * K * V..<(head + 1) * K * V, with: state.elements)
    }
  }
  return output
}

/// One token of one head: four passes over the state.
private func referenceKimiDeltaToken(
  query: [Float], key: [Float], value: [Float], logDecay: [Float], beta: Float,
  state: inout Matrix
) -> [Float] {
  var decay = logDecay
  var span = decay.mutableSpan
  exponential(&span)
  for channel in 0..<state.rows {
    for column in 0..<state.columns { state[channel, column] *= decay[channel] }
  }
  var recalled = [Float](repeating: 0, count: state.columns)
  for channel in 0..<state.rows {
    for column in 0..<state.columns {
      recalled[column] += state[channel, column] * key[channel]
    }
  }
  for channel in 0..<state.rows {
    for column in 0..<state.columns {
      state[channel, column] +=
        beta * key[channel] * (value[column] - recalled[column])
    }
  }
  var output = [Float](repeating: 0, count: state.columns)
  for channel in 0..<state.rows {
    for column in 0..<state.columns {
      output[column] += state[channel, column] * query[channel]
    }
  }
  return output
}

private func normalised(_ vector: ArraySlice<Float>, scale: Float) -> [Float] {
  let squares = vector.reduce(0) { $0 + $1 * $1 }
  return vector.map { $0 / (squares + 1e-6).squareRoot() * scale }
}

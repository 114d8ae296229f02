// SPDX-License-Identifier: Apache-2.0
//
// Kimi delta attention as the recurrence reads: four passes over the state for each token. This is
// what the other forms are measured against and compared with; loops are plain and left to the
// compiler, which may use fused multiply-adds as it would anywhere.

/// One token, whose value becomes its output.
static void NAME(delta_passes_token)(
    size_t K, size_t V, const float *restrict query, const float *restrict key,
    const float *restrict decay, float beta, float *restrict delta, float *restrict value,
    float *restrict state) {
#pragma STDC FP_CONTRACT ON
  for (size_t c = 0; c < K; c++) {
    for (size_t j = 0; j < V; j++) state[c * V + j] *= decay[c];
  }
  for (size_t j = 0; j < V; j++) delta[j] = 0;
  for (size_t c = 0; c < K; c++) {
    for (size_t j = 0; j < V; j++) delta[j] += state[c * V + j] * key[c];
  }
  for (size_t j = 0; j < V; j++) delta[j] = beta * (value[j] - delta[j]);
  for (size_t c = 0; c < K; c++) {
    for (size_t j = 0; j < V; j++) state[c * V + j] += key[c] * delta[j];
  }
  for (size_t j = 0; j < V; j++) value[j] = 0;
  for (size_t c = 0; c < K; c++) {
    for (size_t j = 0; j < V; j++) value[j] += state[c * V + j] * query[c];
  }
}

static void NAME(delta_passes)(const struct kiln_delta_head *head, float *workspace) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  float *query = ALIGNED(workspace), *key = query + ROUND_UP(K), *decay = key + ROUND_UP(K);
  for (size_t token = 0; token < head->tokens; token++) {
    NAME(delta_rows)(head, token, 1, query, key, decay);
    NAME(delta_passes_token)(
        K, V, query, key, decay, head->beta[token * head->beta_stride], decay + ROUND_UP(K),
        head->values + token * head->value_stride, head->state);
  }
}

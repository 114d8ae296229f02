// SPDX-License-Identifier: Apache-2.0
//
// Kimi delta attention as the recurrence reads: four passes over the state for each token. This is
// what the other forms are measured against and compared with; loops are plain and left to the
// compiler, which may use fused multiply-adds as it would anywhere.

static void NAME(delta_passes)(const struct kiln_delta_head *head, float *workspace) {
#pragma STDC FP_CONTRACT ON
  const size_t K = head->key_dimension, V = head->value_dimension;
  float *const scratch = ALIGNED(workspace);
  float *query = scratch, *key = scratch + ROUND_UP(K), *decay = scratch + 2 * ROUND_UP(K);
  float *restrict recalled = scratch + 3 * ROUND_UP(K);
  float *restrict state = head->state;
  for (size_t token = 0; token < head->tokens; token++) {
    NAME(delta_rows)(head, token, 1, query, key, decay);
    const float *value = head->values + token * head->value_stride;
    const float beta = head->beta[token * head->beta_stride];
    float *restrict output = head->output + token * head->value_stride;
    for (size_t c = 0; c < K; c++) {
      for (size_t j = 0; j < V; j++) state[c * V + j] *= decay[c];
    }
    for (size_t j = 0; j < V; j++) recalled[j] = 0;
    for (size_t c = 0; c < K; c++) {
      for (size_t j = 0; j < V; j++) recalled[j] += state[c * V + j] * key[c];
    }
    for (size_t j = 0; j < V; j++) recalled[j] = beta * (value[j] - recalled[j]);
    for (size_t c = 0; c < K; c++) {
      for (size_t j = 0; j < V; j++) state[c * V + j] += key[c] * recalled[j];
    }
    for (size_t j = 0; j < V; j++) output[j] = 0;
    for (size_t c = 0; c < K; c++) {
      for (size_t j = 0; j < V; j++) output[j] += state[c * V + j] * query[c];
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// What all forms of Kimi delta attention do first with each token.

#include "exponential_body.h"
#include "dot_body.h"

/// y = factor * x.
static inline void NAME(delta_scale)(
    float *restrict y, const float *restrict x, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = x[i] * factor;
}

/// y = exp(x).
static inline void NAME(delta_exp)(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = NAME(exp_element)(x[i]);
}

/// Rows [count, key_dimension] from token `first` on: normalised and scaled queries, normalised
/// keys, and the decay exp(log decay).
static void NAME(delta_rows)(
    const struct kiln_delta_head *head, size_t first, size_t count, float *queries, float *keys,
    float *decay) {
  // Some rows at a time: a norm is a long chain of operations, and those of several rows overlap.
  enum { ROWS = 8 };
  const size_t width = head->key_dimension;
  const float scale = 1.0f / __builtin_sqrtf((float)width);
  for (size_t row = 0; row < count; row += ROWS) {
    const size_t rows = count - row < ROWS ? count - row : ROWS;
    const size_t source = (first + row) * head->key_stride, target = row * width;
    float query_factors[ROWS] = {0}, key_factors[ROWS] = {0};
    for (size_t i = 0; i < rows; i++) {
      const float *query = head->queries + source + i * head->key_stride;
      const float *key = head->keys + source + i * head->key_stride;
      query_factors[i] = NAME(dot)(query, query, width);
      key_factors[i] = NAME(dot)(key, key, width);
    }
    for (size_t i = 0; i < ROWS; i++) {
      query_factors[i] = scale / __builtin_sqrtf(query_factors[i] + 1e-6f);
      key_factors[i] = 1.0f / __builtin_sqrtf(key_factors[i] + 1e-6f);
    }
    for (size_t i = 0; i < rows; i++) {
      const size_t from = source + i * head->key_stride, to = target + i * width;
      NAME(delta_scale)(queries + to, head->queries + from, query_factors[i], width);
      NAME(delta_scale)(keys + to, head->keys + from, key_factors[i], width);
      NAME(delta_exp)(decay + to, head->log_decay + from, width);
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// What both forms of Kimi delta attention do first with each token.

#include "exponential_body.h"
#include "dot_body.h"

/// Rows [count, key_dimension] from token `first` on: normalised and scaled queries, normalised
/// keys, and the decay exp(log decay).
static void NAME(delta_rows)(
    const struct kiln_delta_head *head, size_t first, size_t count, float *restrict queries,
    float *restrict keys, float *restrict decay) {
  const size_t width = head->key_dimension;
  const float scale = 1.0f / __builtin_sqrtf((float)width);
  for (size_t row = 0; row < count; row++) {
    const float *query = head->queries + (first + row) * head->key_stride;
    const float *key = head->keys + (first + row) * head->key_stride;
    const float *log_decay = head->log_decay + (first + row) * head->key_stride;
    const float query_factor =
        scale / __builtin_sqrtf(NAME(dot)(query, query, width) + 1e-6f);
    const float key_factor = 1.0f / __builtin_sqrtf(NAME(dot)(key, key, width) + 1e-6f);
    for (size_t c = 0; c < width; c++) {
      queries[row * width + c] = query[c] * query_factor;
      keys[row * width + c] = key[c] * key_factor;
      decay[row * width + c] = NAME(exp_element)(log_decay[c]);
    }
  }
}

/// Copies rows of `count` floats into rows that are `width` wide and fills up with zeros.
static inline void NAME(copy_rows_in)(
    const float *source, size_t source_stride, size_t rows, size_t count, float *target,
    size_t width) {
  for (size_t row = 0; row < rows; row++) {
    memcpy(target + row * width, source + row * source_stride, count * sizeof(float));
    for (size_t i = count; i < width; i++) target[row * width + i] = 0;
  }
}

/// Copies the first `count` floats of rows that are `width` wide.
static inline void NAME(copy_rows_out)(
    const float *source, size_t width, size_t rows, size_t count, float *target,
    size_t target_stride) {
  for (size_t row = 0; row < rows; row++) {
    memcpy(target + row * target_stride, source + row * width, count * sizeof(float));
  }
}

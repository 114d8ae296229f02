// SPDX-License-Identifier: Apache-2.0
//
// What all forms of Kimi delta attention do first with each token, and how the state is cut into
// slices of value columns.

#include "exponential_body.h"
#include "dot_body.h"

/// Asks for the rows of a token that will be needed soon. A row is a short piece of a long one, and no
/// prefetcher of the hardware knows where the next one is.
static inline void NAME(delta_prefetch)(const struct kiln_delta_head *head, size_t token) {
  if (token >= head->tokens) return;
  const size_t key_row = token * head->key_stride, value_row = token * head->value_stride;
  for (size_t c = 0; c < head->key_dimension; c += LANES) {
    __builtin_prefetch(head->queries + key_row + c);
    __builtin_prefetch(head->keys + key_row + c);
    __builtin_prefetch(head->log_decay + key_row + c);
  }
  for (size_t c = 0; c < head->value_dimension; c += LANES) {
    __builtin_prefetch(head->values + value_row + c);
    __builtin_prefetch(head->output + value_row + c, 1);
  }
}

/// Rows [count, key_dimension] from token `first` on: normalised and scaled queries, normalised
/// keys, and the decay exp(log decay).
static void NAME(delta_rows)(
    const struct kiln_delta_head *head, size_t first, size_t count, float *restrict queries,
    float *restrict keys, float *restrict decay) {
  const size_t width = head->key_dimension;
  const float scale = 1.0f / __builtin_sqrtf((float)width);
  for (size_t row = 0; row < count; row++) {
    NAME(delta_prefetch)(head, first + row + DELTA_PREFETCH);
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
  for (size_t row = 0; row < rows; row++, source += source_stride, target += width) {
    if (count == SLICE) {
      UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
        STORE(target + g * LANES, LOAD(source + g * LANES));
      }
    } else {
      memcpy(target, source, count * sizeof(float));
      for (size_t i = count; i < width; i++) target[i] = 0;
    }
  }
}

/// Copies the first `count` floats of rows that are `width` wide.
static inline void NAME(copy_rows_out)(
    const float *source, size_t width, size_t rows, size_t count, float *target,
    size_t target_stride) {
  for (size_t row = 0; row < rows; row++, source += width, target += target_stride) {
    if (count == SLICE) {
      UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
        STORE(target + g * LANES, LOAD(source + g * LANES));
      }
    } else {
      memcpy(target, source, count * sizeof(float));
    }
  }
}

/// Cuts the state into slices [key_dimension, SLICE], one after the other.
static void NAME(copy_slices_in)(const struct kiln_delta_head *head, float *packed) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  for (size_t start = 0; start < V; start += SLICE, packed += K * SLICE) {
    const size_t columns = V - start < SLICE ? V - start : SLICE;
    NAME(copy_rows_in)(head->state + start, V, K, columns, packed, SLICE);
  }
}

/// Puts the slices together again.
static void NAME(copy_slices_out)(const struct kiln_delta_head *head, const float *packed) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  for (size_t start = 0; start < V; start += SLICE, packed += K * SLICE) {
    const size_t columns = V - start < SLICE ? V - start : SLICE;
    NAME(copy_rows_out)(packed, SLICE, K, columns, head->state + start, V);
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// One token of Kimi delta attention. The state is cut into slices of columns that stay in a near cache, so
// that memory sees one pass over it:
//
//   a = S^T (f k);  b = S^T (f q);  d = beta (v - a);  o = b + (q . k) d;  S = diag(f) S + k d^T
//
// with f the decay: S^T (f k) is what the decayed state gives for k.

#include "delta_rows_body.h"
#include "fused.h"

/// Groups of 16 columns of the widest slice: as many as have their sums in registers. Memory is then read
/// in long stretches, which is worth more than a slice in the first-level cache.
#if VECTOR_BITS == 512
#define SLICE_GROUPS 8
#else
#define SLICE_GROUPS 2
#endif

/// Columns [0, 16 * groups) of the state; `workspace` has queries, keys and decays.
static inline __attribute__((always_inline)) void NAME(delta_step_slice)(
    const int groups, size_t K, size_t V, const float *queries, const float *keys,
    const float *decay, float product, float beta, float *values, float *state) {
  float16 by_key[SLICE_GROUPS], by_query[SLICE_GROUPS], change[SLICE_GROUPS];
  UNROLL for (int g = 0; g < groups; g++) by_key[g] = by_query[g] = ALL(0);
  for (size_t c = 0; c < K; c++) {
    const float16 k = ALL(decay[c] * keys[c]), q = ALL(decay[c] * queries[c]);
    UNROLL for (int g = 0; g < groups; g++) {
      const float16 s = LOAD(state + c * V + g * LANES);
      by_key[g] = MULTIPLY_ADD(s, k, by_key[g]);
      by_query[g] = MULTIPLY_ADD(s, q, by_query[g]);
    }
  }
  UNROLL for (int g = 0; g < groups; g++) {
    change[g] = ALL(beta) * (LOAD(values + g * LANES) - by_key[g]);
    STORE(values + g * LANES, MULTIPLY_ADD(ALL(product), change[g], by_query[g]));
  }
  for (size_t c = 0; c < K; c++) {
    const float16 f = ALL(decay[c]), k = ALL(keys[c]);
    UNROLL for (int g = 0; g < groups; g++) {
      float *place = state + c * V + g * LANES;
      STORE(place, MULTIPLY_ADD(k, change[g], LOAD(place) * f));
    }
  }
}

static void NAME(delta_step)(const struct kiln_delta_head *head, float *workspace) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  float *queries = workspace, *keys = queries + K, *decay = keys + K;
  NAME(delta_rows)(head, 0, 1, queries, keys, decay);
  const float product = NAME(dot)(queries, keys, K), beta = head->beta[0];
  size_t column = 0;
  for (; column + SLICE_GROUPS * LANES <= V; column += SLICE_GROUPS * LANES) {
    NAME(delta_step_slice)(
        SLICE_GROUPS, K, V, queries, keys, decay, product, beta, head->values + column,
        head->state + column);
  }
  for (; column < V; column += LANES) {
    NAME(delta_step_slice)(
        1, K, V, queries, keys, decay, product, beta, head->values + column, head->state + column);
  }
}

#undef SLICE_GROUPS

// SPDX-License-Identifier: Apache-2.0
//
// Kimi delta attention token by token. Value columns are independent of each other, so the state
// is cut into slices of columns that stay in the first-level cache for a run of tokens. One pass
// over a slice does the update of the last token, the decay of this token and both products:
//
//   S = (S + k' d'^T) diag(decay);  a = S^T k;  b = S^T q;  d = beta (v - a);  o = b + (q . k) d
//
// with k', d' of the last token. The output uses the updated state: q . (k d^T) = (q . k) d.

static void NAME(delta_recurrent_slice)(
    size_t tokens, size_t width, const float *queries, const float *keys, const float *decay,
    const float *products, const float *beta, size_t beta_stride, const float *values,
    size_t value_stride, float *output, size_t output_stride, float *state, size_t state_stride) {
  float16 update[SLICE_GROUPS];
  UNROLL for (int g = 0; g < SLICE_GROUPS; g++) update[g] = ALL(0);
  const float *last_key = keys;
  for (size_t token = 0; token < tokens; token++) {
    const float *query = queries + token * width, *key = keys + token * width;
    const float *factor = decay + token * width;
    float16 by_key[SLICE_GROUPS], by_query[SLICE_GROUPS];
    UNROLL for (int g = 0; g < SLICE_GROUPS; g++) by_key[g] = by_query[g] = ALL(0);
    for (size_t c = 0; c < width; c++) {
      const float16 f = ALL(factor[c]), l = ALL(last_key[c]), k = ALL(key[c]), q = ALL(query[c]);
      float *row = state + c * state_stride;
      UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
        const float16 s = (LOAD(row + g * LANES) + l * update[g]) * f;
        STORE(row + g * LANES, s);
        by_key[g] += s * k;
        by_query[g] += s * q;
      }
    }
    const float16 strength = ALL(beta[token * beta_stride]), product = ALL(products[token]);
    UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
      update[g] = strength * (LOAD(values + token * value_stride + g * LANES) - by_key[g]);
      STORE(output + token * output_stride + g * LANES, by_query[g] + product * update[g]);
    }
    last_key = key;
  }
  for (size_t c = 0; c < width; c++) {
    const float16 l = ALL(last_key[c]);
    UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
      float *place = state + c * state_stride + g * LANES;
      STORE(place, LOAD(place) + l * update[g]);
    }
  }
}

static void NAME(delta_recurrent)(const struct kiln_delta_head *head, float *workspace) {
  enum { SLICE = SLICE_GROUPS * LANES, RUN = DELTA_RUN };
  const size_t K = head->key_dimension, V = head->value_dimension;
  const size_t slices = (V + SLICE - 1) / SLICE;
  float *packed = ALIGNED(workspace);
  float *queries = packed + ROUND_UP(slices * SLICE * K);
  float *keys = queries + ROUND_UP(RUN * K);
  float *decay = keys + ROUND_UP(RUN * K);
  float *products = decay + ROUND_UP(RUN * K);
  float *padded = products + ROUND_UP(RUN);
  // For a few tokens the slices are not worth a copy.
  const int in_place = head->tokens < 4 && V % SLICE == 0;
  for (size_t s = 0; s < slices && !in_place; s++) {
    const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
    NAME(copy_rows_in)(head->state + s * SLICE, V, K, columns, packed + s * K * SLICE, SLICE);
  }
  for (size_t first = 0; first < head->tokens; first += RUN) {
    const size_t count = head->tokens - first < RUN ? head->tokens - first : RUN;
    NAME(delta_rows)(head, first, count, queries, keys, decay);
    for (size_t t = 0; t < count; t++) {
      products[t] = NAME(dot)(queries + t * K, keys + t * K, K);
    }
    const float *beta = head->beta + first * head->beta_stride;
    for (size_t s = 0; s < slices; s++) {
      const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
      const float *values = head->values + first * head->value_stride + s * SLICE;
      float *output = head->output + first * head->value_stride + s * SLICE;
      float *state = in_place ? head->state + s * SLICE : packed + s * K * SLICE;
      const size_t state_stride = in_place ? V : SLICE;
      if (columns == SLICE) {
        NAME(delta_recurrent_slice)(
            count, K, queries, keys, decay, products, beta, head->beta_stride, values,
            head->value_stride, output, head->value_stride, state, state_stride);
      } else {
        NAME(copy_rows_in)(values, head->value_stride, count, columns, padded, SLICE);
        NAME(delta_recurrent_slice)(
            count, K, queries, keys, decay, products, beta, head->beta_stride, padded, SLICE,
            padded, SLICE, state, state_stride);
        NAME(copy_rows_out)(padded, SLICE, count, columns, output, head->value_stride);
      }
    }
  }
  for (size_t s = 0; s < slices && !in_place; s++) {
    const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
    NAME(copy_rows_out)(packed + s * K * SLICE, SLICE, K, columns, head->state + s * SLICE, V);
  }
}
